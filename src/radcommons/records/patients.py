"""The record of a generator's training patients, as salted hashes of their pseudonyms."""

import hmac
from collections.abc import Iterable
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from radcommons.records.record import Record

HEX_DIGITS: Final = 16
Hash = Annotated[str, Field(pattern=f"^[0-9a-f]{{{HEX_DIGITS}}}$")]


class PatientsRecord(Record):
    """``patients.json`` beside a generator's weights: whoever has a pseudonym can check whether it was in training.

    Attributes:
        salt: key of the hashes, hexadecimal, not secret; lists of two stores have no hash in common.
        source: the reader that named the patients, e.g. "nih"; another reader may name the same patient differently.
        key_fingerprint: identifies the key of the pseudonyms; compare pseudonyms of one key only. None if unknown.
        hashes: hashes of the pseudonyms of all training patients, ascending, each once.
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
    """``patients.json`` beside a classifier's weights: one list per store that it was trained or validated on."""

    stores: tuple[PatientsRecord, ...]


def patient_hash(pseudonym: str, *, salt: str) -> str:
    """16 hexadecimal digits of HMAC-SHA256 of a pseudonym; `salt` is hexadecimal.

    If 10^4 patients are checked against a list of 10^5, one matches by chance with probability 5e-11.
    """
    return hmac.digest(bytes.fromhex(salt), pseudonym.encode(), "sha256").hex()[:HEX_DIGITS]


def patient_hashes(pseudonyms: Iterable[str], *, salt: str) -> tuple[str, ...]:
    """The hashes of a record: one per patient, ascending, so that their order discloses nothing."""
    return tuple(sorted({patient_hash(p, salt=salt) for p in pseudonyms}))


def count_seen(record: PatientsRecord, pseudonyms: Iterable[str]) -> int:
    """How many of the patients `pseudonyms` are on the list; a patient who occurs twice counts once."""
    return len(set(record.hashes).intersection(patient_hashes(pseudonyms, salt=record.salt)))
