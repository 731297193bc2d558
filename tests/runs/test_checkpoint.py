from pathlib import Path

import pytest
import torch

from radcommons.errors import DiskFull
from radcommons.runs import checkpoint

CPU = torch.device("cpu")


def state(value: float) -> dict[str, object]:
    return {"step": 3, "weights": {"a": torch.full((4,), value)}, "list": [torch.zeros(2), 1.5, "text"]}


def test_a_state_comes_back_as_it_went(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, state(1.0))
    loaded = checkpoint.load(tmp_path, CPU)
    assert loaded is not None
    assert checkpoint.digest(loaded[0]) == checkpoint.digest(state(1.0))


def test_the_file_loads_with_weights_only(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, state(1.0))
    assert torch.load(checkpoint.checkpoint_file(tmp_path), weights_only=True)["format_version"] == 1


def test_the_one_before_is_kept(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, state(1.0))
    checkpoint.save(tmp_path, state(2.0))
    checkpoint.checkpoint_file(tmp_path).unlink()  # as if killed between the two renames
    loaded = checkpoint.load(tmp_path, CPU)
    assert loaded is not None and loaded[0]["weights"]["a"][0] == 1.0


def test_a_new_run_has_none(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path, CPU) is None


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_a_single_flipped_byte_of_a_tensor_is_noticed(tmp_path: Path, where: float) -> None:
    checkpoint.save(tmp_path, {"weights": torch.arange(10_000.0)})
    path = checkpoint.checkpoint_file(tmp_path)
    content = bytearray(path.read_bytes())
    content[int(len(content) * where)] ^= 1
    path.write_bytes(content)
    checkpoint.previous_file(tmp_path).write_bytes(b"")
    with pytest.raises(checkpoint.CheckpointDamaged):
        checkpoint.load(tmp_path, CPU)


def test_a_full_disk_is_one_clear_line_and_keeps_the_old_checkpoint(tmp_path: Path, monkeypatch) -> None:
    checkpoint.save(tmp_path, state(1.0))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(DiskFull, match="free some space and run the same command again"):
        checkpoint.save(tmp_path, state(2.0))
    loaded = checkpoint.load(tmp_path, CPU)
    assert loaded is not None and loaded[0]["weights"]["a"][0] == 1.0
    assert not (tmp_path / "checkpoint.pt.partial").exists()


def test_the_digest_depends_on_every_number_and_name() -> None:
    base = checkpoint.digest(state(1.0))
    assert checkpoint.digest(state(1.0)) == base
    assert checkpoint.digest(state(1.5)) != base
    assert checkpoint.digest({**state(1.0), "step": 4}) != base
    renamed = state(1.0)
    renamed["other"] = renamed.pop("weights")
    assert checkpoint.digest(renamed) != base
