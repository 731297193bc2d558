"""Prepare what an import sends to its worker processes and machines: paths, labels and pseudonyms.

The key of the pseudonyms and the original identifiers stay in the process that writes the store.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from radcommons.data.listing import Candidate
from radcommons.data.pseudonyms import pseudonym
from radcommons.errors import PathMissing


def under_pseudonyms(candidates: Sequence[Candidate], key: bytes) -> list[Candidate]:
    """The candidates, with pseudonyms instead of the identifiers of patient and image; paths stay."""
    of_patient = {patient: pseudonym(patient, key=key) for patient in {c.patient for c in candidates}}
    return [replace(c, patient=of_patient[c.patient], image=pseudonym(c.image, key=key)) for c in candidates]


def for_other_machines(candidates: Sequence[Candidate]) -> tuple[list[Candidate], Path]:
    """The candidates with absolute paths, and the folder that contains all of them."""
    absolute = [replace(c, path=c.path.absolute()) for c in candidates]
    return absolute, Path(os.path.commonpath([c.path.parent for c in absolute]))


def require_folder(folder: Path) -> None:
    """Raise PathMissing on a machine without `folder`, where all films would count as missing."""
    if not folder.is_dir():
        raise PathMissing(
            "a worker of the cluster does not see the folder of the films; put them at the same path on every machine"
        )
