import json
from collections.abc import Callable
from pathlib import Path

import pytest

from radcommons.cli import run
from radcommons.data.store import Store
from radcommons.gan.settings import TrainSettings

Tiny = Callable[..., TrainSettings]


@pytest.fixture
def config(tiny: Tiny, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    tiny().save(path)
    return path


def test_a_dry_run_prints_settings_schedule_and_parameter_counts_as_json(
    phantom_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", str(phantom_store.path), "--out", str(tmp_path / "r"), "--preset", "paper-256"]
    assert run([*arguments, "--set", "seed=3", "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["settings"]["seed"] == 3 and plan["settings"]["total_images"] == 12_000_000
    assert [s["resolution"] for s in plan["schedule"]] == [4, 8, 16, 32, 64, 128, 256]
    # one latent-and-label column of the dense layer is 8,192 weights; the paper's count is for 14 labels
    missing = 14 - len(plan["findings"])
    assert plan["generator_parameters"] == 23_153_991 - missing * 8192
    assert plan["critic_parameters"] == 23_054_543 - missing * 513
    assert not (tmp_path / "r").exists(), "a dry run writes nothing"


def test_a_dry_run_for_people_says_what_the_store_lacks(
    phantom_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run(["train", str(phantom_store.path), "--out", str(tmp_path / "r"), "--preset", "small-64", "--dry-run"]) == 0
    )
    out = capsys.readouterr().out
    assert "resolution     fade-in" in out and "the store holds images up to 32" in out


def test_training_prints_one_json_object_and_repeats_as_a_no_op(
    phantom_store: Store, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", str(phantom_store.path), "--out", str(tmp_path / "run"), "--config", str(config), "--json"]
    assert run(arguments) == 0
    printed, page = capsys.readouterr(), tmp_path / "run" / "training.html"
    first = json.loads(printed.out)
    assert f"watch the training: open {page}\n" in printed.err and first["page"] == str(page)
    assert "Training: finished" in page.read_text(encoding="utf-8")
    assert first["finished"] and first["images_seen"] == 160 and first["resolution"] == 16
    assert run(["train", str(phantom_store.path), "--out", str(tmp_path / "run"), "--json"]) == 0, "no preset needed"
    again = json.loads(capsys.readouterr().out)
    assert again["finished"] and again["images_seen"] == 160


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--preset", "papr-256"], "preset 'papr-256' is not known; the nearest is 'paper-256'"),
        (["--preset", "small-64", "--set", "seeed=1"], "'seeed' is not a setting; the nearest is 'seed'"),
        (["--preset", "small-64", "--set", "seed=x"], "'seed' is 'x'"),
        (["--preset", "small-64", "--set", "seed"], "write it as KEY=VALUE"),
        (["--preset", "small-64", "--set", "total_images=-5"], "'total_images' is -5"),
        (["--preset", "small-64"], "--set resolution=32"),
        (["--preset", "small-64", "--config", "x.toml"], "exclude each other"),
        (["--config", "nowhere.toml"], "nowhere.toml does not exist"),
    ],
)
def test_bad_settings_are_one_line_and_exit_2(
    phantom_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str], message: str
) -> None:
    assert run(["train", str(phantom_store.path), "--out", str(tmp_path / "run"), *extra]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1 and captured.out == ""
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_no_store_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", str(tmp_path), "--out", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err == f"radcommons: {tmp_path} is not a store (no store.json)\n"


def test_a_missing_argument_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "store"]) == 2
    err = capsys.readouterr().err
    assert "Missing option '--out'" in err and "train --help" in err and err.count("\n") == 1


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--help"]) == 0
    assert "torchrun --nproc-per-node 8" in capsys.readouterr().out
