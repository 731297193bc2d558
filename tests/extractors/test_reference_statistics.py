"""Files of reference statistics: read as written, or refused."""

from pathlib import Path

import numpy as np
import pytest

from radcommons.errors import ReferenceRefused
from radcommons.extractors.reference_statistics import ReferenceStatistics
from radcommons.files import read_arrays, write_arrays
from radcommons.records import ReferenceRecord


def statistics() -> ReferenceStatistics:
    side = {"side": 64, "fid_films": 1, "fid_blurred": 9, "fid_noise": 10, "control_count": 5, "ms_ssim": 0.5,
            "membership_auc": 0.5}  # fmt: skip
    record = ReferenceRecord.model_validate(
        {"name": "site", "extractor": "toy", "extractor_sha256": "0", "dimension": 3, "extractor_side": 8,
         "resize": "none", "parts": ["train"], "films": 1000, "patients": 900, "components": 2, "sides": [side],
         "versions": {}}
    )  # fmt: skip
    arrays = {"mean": np.zeros(3), "components": np.eye(3)[:2], "variances": np.ones(2), "rest": np.array(0.5)}
    return ReferenceStatistics(record, {64: arrays})


def test_statistics_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = statistics()
    written.save(tmp_path / "a.npz")
    read = ReferenceStatistics.load(tmp_path / "a.npz")
    assert read.record == written.record
    assert all(np.array_equal(read.arrays[64][name], value) for name, value in written.arrays[64].items())


@pytest.mark.parametrize(
    "changes",
    [
        {"mean_64": np.zeros(4)},
        {"variances_64": np.array([np.nan, 1.0])},
        {"variances_64": np.array([-1.0, 1.0])},
        {"components_64": np.eye(3, dtype=np.float32)[:2]},
        {"films": np.zeros((5, 8, 8), np.uint8)},
        {"record": np.frombuffer(b"{}", np.uint8)},
    ],
)
def test_a_file_whose_arrays_do_not_fit_its_record_is_refused(tmp_path: Path, changes: dict[str, np.ndarray]) -> None:
    statistics().save(tmp_path / "a.npz")
    arrays = read_arrays(tmp_path / "a.npz")
    assert arrays is not None
    write_arrays(tmp_path / "b.npz", **{**arrays, **changes})
    with pytest.raises(ReferenceRefused, match="make one with 'radcommons reference'"):
        ReferenceStatistics.load(tmp_path / "b.npz")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReferenceRefused, match="gone.npz is not a whole file"):
        ReferenceStatistics.load(tmp_path / "gone.npz")
