"""Records are versioned JSON that comes back as it went, and refuse what they do not know."""

import hashlib
import hmac
import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from radcommons.errors import PathInUse
from radcommons.records import (
    Estimate,
    FindingsRecord,
    GateVerdict,
    PatientsRecord,
    Record,
    ReferenceRecord,
    StoreRecord,
    sha256_file,
)
from radcommons.records.patients import count_seen, patient_hash, patient_hashes

STORE = StoreRecord(
    name="own", source="table", findings=("Mass",), resolutions=(4, 8), label_policy="as-given", fit="crop", images=3,
    patients=2, rejected=0, absent=0, upsampled=0, split={"train": 3, "val": 0, "test": 0}, split_salt="s",
    request_sha256="a", manifest_sha256="b",
)  # fmt: skip


class Second(Record):
    """A record of the second format."""

    FORMAT_VERSION = 2
    name: str


def test_a_record_comes_back_from_its_json_as_it_was() -> None:
    text = STORE.to_json()
    assert StoreRecord.model_validate_json(text) == StoreRecord.model_validate(json.loads(text)) == STORE
    assert text.endswith("}\n") and text == STORE.to_json()


def test_a_record_carries_the_version_of_its_format_and_no_other_is_accepted() -> None:
    assert json.loads(Second(name="x").to_json()) == {"format_version": 2, "name": "x"}
    for version in (1, 3, 99, 0, None, "2"):
        with pytest.raises(ValidationError, match=f"of format version {version!r}, this radcommons reads 2"):
            Second(format_version=version, name="x")
        with pytest.raises(ValidationError, match=f"of format version {version!r}, this radcommons reads 2"):
            Second.model_validate_json(json.dumps({"format_version": version, "name": "x"}))
    with pytest.raises(ValidationError, match="there is no format version"):
        Second.model_validate_json('{"name": "x"}')


def test_a_file_that_is_no_record_of_this_version_is_one_line_with_the_next_step(tmp_path: Path) -> None:
    path = tmp_path / "second.json"

    def refusal() -> str:
        with pytest.raises(PathInUse) as refused:
            Second.read(path, refused=PathInUse, remedy="mend it", other_version="update")
        return str(refused.value)

    assert refusal() == f"{path} is missing or damaged; mend it"
    for content in (b"", b"{", b"[]", b"\xff", b'{"name": "x"}', b'{"format_version": 2}'):
        path.write_bytes(content)
        assert refusal() == f"{path} is damaged; mend it"
    path.write_text('{"format_version": 99, "of_a_later_version": 1}')
    assert refusal() == f"{path} is of format version 99, this radcommons reads 2; update"
    with pytest.raises(PathInUse, match="reads 2; mend it"):
        Second.read(path, refused=PathInUse, remedy="mend it")
    path.write_text(Second(name="x").to_json())
    assert Second.read(path, refused=PathInUse, remedy="mend it") == Second(name="x")


def test_unknown_and_missing_fields_are_refused_and_a_record_cannot_be_changed() -> None:
    for values in ({"name": "x", "patient": "y"}, {}):
        with pytest.raises(ValidationError):
            Second.model_validate(values)
    with pytest.raises(ValidationError, match="frozen"):
        Second(name="x").name = "y"


def test_every_published_combination_has_an_entry_a_finding() -> None:
    FindingsRecord(findings=("Mass", "Edema"), combinations=(((0, 1), 12),), smallest_cell=10)
    with pytest.raises(ValidationError, match="another number of entries than there are findings"):
        FindingsRecord(findings=("Mass", "Edema"), combinations=(((1,), 12),), smallest_cell=10)


def test_a_store_from_before_there_were_key_fingerprints_is_read_without_one() -> None:
    values = json.loads(STORE.to_json())
    del values["key_fingerprint"]
    assert StoreRecord.model_validate_json(json.dumps(values)) == STORE and STORE.key_fingerprint is None


SALT = "00ff" * 8


def test_the_hash_of_a_patient_is_the_head_of_an_hmac_under_the_salt() -> None:
    expected = hmac.new(bytes.fromhex(SALT), b"1234567890abcdef", hashlib.sha256).hexdigest()[:16]
    assert patient_hash("1234567890abcdef", salt=SALT) == expected
    assert patient_hash("1234567890abcdef", salt="00fe" * 8) != expected


def test_patients_seen_are_counted_once_each_in_whatever_order_they_come() -> None:
    record = PatientsRecord(
        salt=SALT, source="nih", key_fingerprint=None, hashes=patient_hashes(["a", "b", "b", "c"], salt=SALT)
    )
    assert len(record.hashes) == 3 and record.hashes == patient_hashes(["c", "b", "a"], salt=SALT)
    assert count_seen(record, ["b", "x", "b", "a"]) == 2
    assert count_seen(record, ["x", "y"]) == count_seen(record, []) == 0
    assert count_seen(record.model_copy(update={"salt": "00fe" * 8}), ["a", "b", "c"]) == 0


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc" * 100_000)
    assert sha256_file(tmp_path / "file") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_an_estimate_is_written_with_its_interval_and_its_signs_where_it_has_one() -> None:
    difference = Estimate(value=0.029, low=-0.012, high=0.07)
    assert difference.text("+.3f") == "+0.029 (-0.012 to +0.070)"
    assert difference.text() == "0.029 (-0.012 to 0.070)"
    assert Estimate(value=0.5).text(".2f") == "0.50"


def test_a_deposit_that_was_not_examined_has_not_passed_and_its_verdict_says_why() -> None:
    verdict = GateVerdict.not_examined("it was killed", "submit it again")
    assert not verdict.passed and verdict.broken == ()
    assert verdict.statement == "Not examined: it was killed; submit it again."
    assert GateVerdict.model_validate_json(verdict.to_json()) == verdict


def test_reference_statistics_of_too_few_films_are_no_record() -> None:
    side = {"side": 64, "fid_films": 1, "fid_blurred": 9, "fid_noise": 10, "control_count": 5, "ms_ssim": None,
            "membership_auc": 0.5}  # fmt: skip
    values = {"name": "site", "extractor": "toy", "extractor_sha256": "0", "dimension": 3, "extractor_side": 8,
              "resize": "none", "parts": ["train"], "films": 1000, "patients": 900, "components": 2, "sides": [side],
              "versions": {}}  # fmt: skip
    assert ReferenceRecord.model_validate(values).films == 1000
    with pytest.raises(ValidationError, match="statistics of 999 films, at least 1000 are needed"):
        ReferenceRecord.model_validate({**values, "films": 999})
    with pytest.raises(ValidationError, match="ascending"):
        ReferenceRecord.model_validate({**values, "sides": [side, side]})
