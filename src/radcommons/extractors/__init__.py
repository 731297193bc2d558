"""Networks that turn radiographs into feature vectors, for distances between sets and the search for neighbours."""

from radcommons.extractors.catalogue import KNOWN, load_extractor
from radcommons.extractors.extractor import Extractor, extract
from radcommons.extractors.features import ExtractorRecord, Features, same_extractor

__all__ = [
    "KNOWN",
    "Extractor",
    "ExtractorRecord",
    "Features",
    "extract",
    "load_extractor",
    "same_extractor",
]
