"""Was a generator trained on patients of a store? Compares the list beside its weights with the store's pseudonyms."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radcommons.data.pseudonyms import fingerprint, load_key
from radcommons.data.store import Store
from radcommons.data.store_folder import KEY_FILE
from radcommons.errors import BadInput, PatientsSeen
from radcommons.models.generator_files import load_patients
from radcommons.records import PatientsRecord
from radcommons.records.patients import count_seen, patient_hashes

SALT_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Seen:
    """How many patients of a group a generator was trained on.

    Attributes:
        patients: number of patients in the group who are on the generator's list.
        of: number of patients in the group.
        incomparable: why training may have included patients who are not on the list; None if it cannot.
    """

    patients: int
    of: int
    incomparable: str | None = None

    @property
    def comparable(self) -> bool:
        """Whether `patients` is certain."""
        return self.incomparable is None

    def describe(self, what: str = "test", training: str = "this generator's training") -> str:
        """The result in words: "12 of 255 test patients were in this generator's training"."""
        if self.incomparable is not None and not self.patients:
            return (
                f"it is not known whether any of the {self.of:,} {what} patients was in {training}: {self.incomparable}"
            )
        count = f"{self.patients:,}" if self.patients else "none"
        were = "was" if self.patients <= 1 else "were"
        return f"{count} of {self.of:,} {what} patients {were} in {training}"


def patients_record(store: Store, rows: np.ndarray) -> PatientsRecord:
    """The list to publish with a generator trained on `rows` of a store; the same on every call.

    The salt depends on the manifest, so that nobody can compare the lists of two stores without the pseudonyms.
    """
    text = f"radcommons: patients of {store.name} {store.record.manifest_sha256}"
    salt = hashlib.sha256(text.encode()).hexdigest()[:SALT_DIGITS]
    return PatientsRecord(
        salt=salt,
        source=store.record.source,
        key_fingerprint=key_fingerprint(store),
        hashes=patient_hashes(_pseudonyms(store, rows), salt=salt),
    )


def key_fingerprint(store: Store) -> str | None:
    """The fingerprint of a store's pseudonym key; for an older store, computed from the key in it, or None."""
    if store.record.key_fingerprint is not None:
        return store.record.key_fingerprint
    try:
        return fingerprint(load_key(store.path / KEY_FILE))
    except BadInput:
        return None


def patients_seen(record: PatientsRecord | None, store: Store, rows: np.ndarray) -> Seen:
    """How many patients of `rows` of a store are on a generator's list; `record` is None if it has no list.

    Pseudonyms of two keys cannot be compared. With one key, the patients of two readers (NIH's and RSNA's) can be
    compared if any patient of the store is on the list: then both readers use the same identifiers.
    """
    asked = _pseudonyms(store, rows)
    if record is None:
        return Seen(0, len(asked), "it comes without patients.json")
    own = key_fingerprint(store)
    if own is not None and record.key_fingerprint is not None and own != record.key_fingerprint:
        return Seen(0, len(asked), "their pseudonyms were made with another key")
    matches = count_seen(record, asked)
    if own is None or record.key_fingerprint is None:
        return Seen(matches, len(asked), "unknown pseudonym key")
    if record.source != store.record.source and not count_seen(record, _pseudonyms(store, store.rows())):
        return Seen(matches, len(asked), f"patients of '{record.source}' may have other identifiers there")
    return Seen(matches, len(asked))


def patients_seen_of(records: Sequence[PatientsRecord], store: Store, rows: np.ndarray) -> Seen:
    """`patients_seen` for several lists: the result with most patients; if all are 0, one that is incomparable."""
    found = [patients_seen(record, store, rows) for record in records] or [patients_seen(None, store, rows)]
    return max(found, key=lambda seen: (seen.patients, not seen.comparable))


def shared_patients(first: Store, of_first: np.ndarray, second: Store, of_second: np.ndarray) -> int:
    """How many patients two parts have in common, if both stores have the same pseudonym key; otherwise 0."""
    one, other = key_fingerprint(first), key_fingerprint(second)
    if one is None or one != other:
        return 0
    return len(set(_pseudonyms(first, of_first)).intersection(_pseudonyms(second, of_second)))


def require_unseen(reference: Path, store: Store, rows: np.ndarray, *, what: str = "test") -> Seen:
    """`patients_seen` for the generator of a run or a package, if it was trained on none of the patients.

    If the result is not `comparable`, the caller must say so: training may still have included some of them.

    Raises:
        PatientsSeen: the generator was trained on some of them; status 3.
        PathMissing, GeneratorRefused: the generator, or its list, cannot be read.
    """
    seen = patients_seen(load_patients(reference), store, rows)
    if seen.patients:
        raise PatientsSeen(
            f"{reference}: {seen.describe(what)}; leave this generator out, or choose {what} patients that it was not "
            "trained on, such as the test part of its own store"
        )
    return seen


def _pseudonyms(store: Store, rows: np.ndarray) -> list[str]:
    patients: Iterable[str] = store.manifest["patient"][rows].unique()
    return list(patients)
