"""One reader a source: each lists what its table and folders offer, before a pixel is read."""

from radcommons.data.sources.chexpert import list_chexpert
from radcommons.data.sources.dicom import list_dicom
from radcommons.data.sources.nih import list_nih
from radcommons.data.sources.rsna import list_rsna
from radcommons.data.sources.table import list_table

__all__ = ["list_chexpert", "list_dicom", "list_nih", "list_rsna", "list_table"]
