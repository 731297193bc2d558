import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from radcommons.cli import run
from radcommons.data.store import Store
from radcommons.gan import training
from radcommons.gan.settings import TrainSettings
from radcommons.synthetic.reading import SyntheticSet


@pytest.fixture(scope="module")
def trained(phantom_store: Store, tiny: Callable[..., TrainSettings], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool") / "run"
    training.train(phantom_store, tiny(), folder)
    return folder


@pytest.fixture
def spec(trained: Path, tmp_path: Path) -> Path:
    path = tmp_path / "pool.toml"
    path.write_text(
        f'total_images = 12\n[[generator]]\nreference = "{trained}"\nbalanced = true\n'
        f'[[generator]]\nreference = "{trained}"\nfindings = {{ "Pleural Effusion" = 3, "Normal" = 2 }}\n'
    )
    return path


def test_a_specification_becomes_a_labelled_set(spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pool", str(spec), "--out", str(tmp_path / "set"), "--set", "seed=4", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["images"] == said["drawn_now"] == 12 and said["seed"] == 4
    assert [each["images"] for each in said["generators"]] == [7, 5]
    page = Path(said["contact_sheet"]).read_text(encoding="utf-8")
    assert "7 images (58%)" in page and "5 images (42%)" in page
    found = SyntheticSet.open(tmp_path / "set")
    assert list(found.findings) == said["findings"]
    assert int(found.labels[7:, found.findings.index("Effusion")].sum()) == 3


def test_the_same_command_again_draws_nothing(spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["pool", str(spec), "--out", str(tmp_path / "set")]
    assert run(command) == 0
    assert f"open {tmp_path / 'set' / 'contact_sheet.html'}" in capsys.readouterr().out
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "set").rglob("*")}
    assert run(command) == 0
    assert "(already there)" in capsys.readouterr().out
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "set").rglob("*")}


def test_a_dry_run_says_who_would_draw_what_and_writes_nothing(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["pool", str(spec), "--out", str(tmp_path / "set"), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "12 synthetic images of 16 x 16 pixels" in said and "(dry run)" in said
    assert "7 images, labels balanced over findings" in said and "drawn for Effusion: 3, No Finding: 2" in said
    assert not (tmp_path / "set").exists()


def test_a_pool_reaches_a_classifier_with_its_unknown_labels(spec: Path, tmp_path: Path) -> None:
    assert (
        run(["pool", str(spec), "--out", str(tmp_path / "set"), "--set", "total_images=60", "--set", "format=npz"]) == 0
    )
    sizes = ["network=densenet-small", "side=32", "epochs=1", "batch_size=10", "findings=Effusion"]
    command = ["classify", "train", str(tmp_path / "set"), "--out", str(tmp_path / "classifier")]
    assert run([*command, *(word for size in sizes for word in ("--set", size))]) == 0
    lines = (tmp_path / "classifier" / "log.jsonl").read_text().splitlines()
    assert all(np.isfinite(value) for line in lines for value in json.loads(line).values() if isinstance(value, float))


@pytest.mark.parametrize(
    ("extra", "status", "message"),
    [
        (["--set", "quality.recall=0.1"], 3, "has no audit"),
        (["--set", "resolution=64"], 2, "or 'enlarge = true' to enlarge its images"),
        (["--set", "totl_images=5"], 2, "'totl_images' is not a setting; the nearest is 'total_images'"),
        (["--study-date", "today"], 2, "png files have no study date"),
    ],
)
def test_a_refusal_is_one_line_and_leaves_nothing(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str], status: int, message: str
) -> None:
    assert run(["pool", str(spec), "--out", str(tmp_path / "set"), *extra]) == status
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert not (tmp_path / "set").exists()
