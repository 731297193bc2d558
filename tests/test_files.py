"""What is written is whole or not there; what is damaged is told from what is whole."""

from pathlib import Path

import numpy as np
import pytest

from radcommons.files import put_whole, read_arrays, write_whole


def test_a_file_that_is_stopped_half_way_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "audit.json"
    write_whole(path, "before\n")

    def stopped(target: Path) -> None:
        target.write_text("aft")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        put_whole(path, stopped)
    assert path.read_text() == "before\n"
    write_whole(path, "nach\xfcber")
    assert path.read_bytes() == "nach\xfcber".encode()
    write_whole(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff" and [p.name for p in tmp_path.iterdir()] == ["audit.json"]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_arrays_are_all_there_or_none(tmp_path: Path, share: float) -> None:
    path = tmp_path / "map.npz"
    assert read_arrays(path) is None
    np.savez_compressed(path, mean=np.eye(40), count=np.array(3))
    found = read_arrays(path)
    assert found is not None and set(found) == {"mean", "count"} and np.array_equal(found["mean"], np.eye(40))
    whole = path.read_bytes()
    path.write_bytes(whole[: round(share * len(whole))])
    assert read_arrays(path) is None
