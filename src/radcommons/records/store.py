"""The record of a store."""

from pydantic import Field

from radcommons.records.record import Record

PHANTOM = "phantom"  # source of simulated films


class StoreRecord(Record):
    """``store.json``: the result of an import.

    Attributes:
        name: the site.
        source: the reader, e.g. "nih" or "phantom".
        findings: canonical names in label order.
        resolutions: sides of the stored images, pixels, ascending.
        label_policy: how uncertain and blank labels were read.
        fit: "crop" or "pad" to a square.
        images, patients, rejected, absent, upsampled: counts.
        split: number of images per part.
        split_salt: salt of the patient hash of the split.
        request_sha256: digest of the request, to recognise the same command.
        manifest_sha256: digest of ``manifest.parquet``.
        key_fingerprint: identifies the key of the pseudonyms without disclosing it; for simulated films, the site and
            seed. None in older stores.
        declared: images taken because the user declared their view, modality or part of the body, by word.
    """

    name: str
    source: str
    findings: tuple[str, ...]
    resolutions: tuple[int, ...]
    label_policy: str
    fit: str
    images: int
    patients: int
    rejected: int
    absent: int
    upsampled: int
    split: dict[str, int]
    split_salt: str
    request_sha256: str
    manifest_sha256: str
    key_fingerprint: str | None = None
    declared: dict[str, int] = Field(default_factory=dict)
