"""Reference statistics of a store: numbers, of enough films, that hardly tell who is behind them."""

from pathlib import Path

import numpy as np
import pytest

from radcommons.audit import reference
from radcommons.audit.reference import reference_statistics
from radcommons.cli import run
from radcommons.data.store import Store
from radcommons.errors import SettingRefused, TooFewImages
from radcommons.extractors import Extractor
from radcommons.files import read_arrays
from radcommons.records import reference as reference_record


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Statistics of few films are allowed, so that they take a second."""
    for module in (reference, reference_record):
        monkeypatch.setattr(module, "FEWEST_FILMS", 50)


def test_too_few_films_are_refused_with_their_number(hospital: Store, projection: Extractor) -> None:
    count = len(hospital.rows("test"))
    with pytest.raises(TooFewImages, match=f"test have {count} films, reference statistics need 1,000"):
        reference_statistics(hospital, projection, parts=["test"])


def test_a_side_that_the_store_lacks_is_refused(hospital: Store, projection: Extractor, small: None) -> None:
    with pytest.raises(SettingRefused, match="no films of side 64; it has 4, 8, 16, 32"):
        reference_statistics(hospital, projection, parts=["train"], sides=[64])


def test_the_command_refuses_few_films_and_a_file_that_is_there(
    hospital: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.npz"
    assert run(["reference", str(hospital.path), "--out", str(out)]) == 2
    assert "need 1,000" in capsys.readouterr().err
    out.touch()
    assert run(["reference", str(hospital.path), "--out", str(out)]) == 2
    assert "exists" in capsys.readouterr().err
    assert run(["reference", str(hospital.path), "--out", str(tmp_path / "b.pt")]) == 2
    assert "must end in .npz" in capsys.readouterr().err
    assert run(["reference", str(hospital.path), "--out", str(tmp_path / "b.npz"), "--part", "tset"]) == 2
    assert "it must be one of train, val, test" in capsys.readouterr().err


def test_statistics_hold_numbers_and_their_own_scale_and_no_picture(
    hospital: Store, projection: Extractor, tmp_path: Path, small: None
) -> None:
    found = reference_statistics(hospital, projection, parts=["train", "test"], sides=[32, 16])
    record = found.record
    assert [side.side for side in record.sides] == [16, 32] and record.parts == ("train", "test")
    assert record.films == len(hospital.rows("train")) + len(hospital.rows("test"))
    assert record.components == max(1, record.patients // 80)
    for side in record.sides:
        assert 0 < side.fid_films < min(side.fid_blurred, side.fid_noise)
        assert side.ms_ssim is not None and 0 < side.ms_ssim < 1
        assert 0.3 < side.membership_auc < 0.7
    found.save(tmp_path / "a.npz")
    arrays = read_arrays(tmp_path / "a.npz")
    assert arrays is not None
    assert max(array.size for name, array in arrays.items() if name != "record") == 24 * record.components


def test_the_same_films_have_the_same_statistics(hospital: Store, projection: Extractor, small: None) -> None:
    first, again = (reference_statistics(hospital, projection, parts=["train"], sides=[16]) for _ in range(2))
    assert first.record == again.record
    assert np.array_equal(first.arrays[16]["components"], again.arrays[16]["components"])
