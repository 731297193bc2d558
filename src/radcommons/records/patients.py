"""The record of the patients in a generator's training, under salted hashes of their pseudonyms."""

import hmac
from collections.abc import Iterable
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from radcommons.records.record import Record

HEX_DIGITS: Final = 16
Hash = Annotated[str, Field(pattern=f"^[0-9a-f]{{{HEX_DIGITS}}}$")]


class PatientsRecord(Record):
    """``patients.json`` beside a generator's weights: lets whoever holds a pseudonym ask whether it was in training.

    Attributes:
        salt: key of the hashes, hexadecimal, no secret: the lists of two stores have no hash in common.
        source: the reader that named the patients, e.g. "nih"; two readers may name one patient differently.
        key_fingerprint: names the key of the pseudonyms; pseudonyms of two keys do not compare. None where unknown.
        hashes: of the pseudonyms of all training patients, ascending, each once.
    """

    salt: Annotated[str, Field(pattern="^([0-9a-f]{2}){16,}$")]
    source: str
    key_fingerprint: Hash | None
    hashes: tuple[Hash, ...]

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if list(self.hashes) != sorted(set(self.hashes)):
            raise ValueError("the hashes are not in ascending order, each once")
        return self


class ClassifierPatients(Record):
    """``patients.json`` beside a classifier's weights: of every store whose films it learned from or was stopped by."""

    stores: tuple[PatientsRecord, ...]


def patient_hash(pseudonym: str, *, salt: str) -> str:
    """16 hexadecimal digits of HMAC-SHA256 of a pseudonym; `salt` is hexadecimal.

    10^4 patients asked about of a list of 10^5 match one by chance with probability 5e-11.
    """
    return hmac.digest(bytes.fromhex(salt), pseudonym.encode(), "sha256").hex()[:HEX_DIGITS]


def patient_hashes(pseudonyms: Iterable[str], *, salt: str) -> tuple[str, ...]:
    """The hashes of a record: of every patient once, ascending, so that their order says nothing."""
    return tuple(sorted({patient_hash(p, salt=salt) for p in pseudonyms}))


def count_seen(record: PatientsRecord, pseudonyms: Iterable[str]) -> int:
    """How many patients of `pseudonyms` are on the list; a patient named twice counts once."""
    return len(set(record.hashes).intersection(patient_hashes(pseudonyms, salt=record.salt)))
