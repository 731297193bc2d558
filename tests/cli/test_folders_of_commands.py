"""Whatever a command writes: one process at a time does, nobody else may write there, or read what is patients'."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from radcommons import folders
from radcommons.cli import run
from radcommons.data.ingest import ingest_phantoms
from radcommons.folders import alone_in
from radcommons.gan.settings import TrainSettings

QUICK = ["network=densenet-small", "side=32", "epochs=1", "batch_size=32", "findings=Effusion"]
TRAIN_CLASSIFIER = ["classify", "train", "SITE", "--preset", "small-32", *(x for s in QUICK for x in ("--set", s))]
COMMANDS = {
    "data phantom": ["data", "phantom", "--patients", "3", "--resolution", "16"],
    "data import": ["data", "import", "table", "FILMS", "--resolution", "16"],
    "train": ["train", "SITE", "--config", "GAN.toml"],
    "generate": ["generate", "RUN", "-n", "3"],
    "audit": ["audit", "RUN", "SITE", "--preset", "quick"],
    "classify train": TRAIN_CLASSIFIER,
    "classify eval": ["classify", "eval", "CLASSIFIER", "SITE", "--bootstrap-samples", "100"],
    "classify attack": ["classify", "attack", "CLASSIFIER", "SITE", "--films", "20", "--epsilon", "1"],
    "classify screen": ["classify", "screen", "SITE", "--preset", "small-32"],
    "explain morph": ["explain", "morph", "RUN", "--finding", "Effusion", "--frames", "2"],
    "explain map": ["explain", "map", "RUN", "--finding", "Effusion", "-n", "3", "--extractor", "off"],
    "explain correlate": ["explain", "correlate", "RUN", "--classifier", "CLASSIFIER", "-n", "20"],
    "experiment enrich": ["experiment", "enrich", "ENRICH.toml"],
    "experiment merge": ["experiment", "merge", "MERGE.toml"],
    "experiment transfer": ["experiment", "transfer", "TRANSFER.toml"],
    "experiment federated": ["experiment", "federated", "FEDERATED.toml"],
    "demo": ["demo"],
}
SHARED = {"generate", "explain morph", "explain map", "explain correlate"}
QUICK_ONES = [
    "data phantom",
    "data import",
    "train",
    "classify train",
    "classify eval",
    "classify attack",
    *sorted(SHARED),
]
ENRICH = """
store = "SITE"
generators = ["RUN"]
finding = "Nodule"
repeats = 1
real_images = 16
real_positives = 3
kept_images = 8
kept_positives = 3
synthetic_images = 8
synthetic_positives = 2
[classifier]
network = "densenet-small"
side = 32
"""
MERGE = 'store = "SITE"\ngenerator_a = "RUN"\ngenerator_b = "OTHER"\nimages = 16\nfindings = ["Nodule"]\n'
TRANSFER = 'store = "SITE"\ngenerator = "RUN"\nimages = 16\nfindings = ["Nodule"]\n'

FEDERATED = 'stores = ["SITE"]\nclients = 3\n[train]\npreset = "demo-32"\n'


@pytest.fixture(scope="module")
def given(
    tiny: Callable[..., TrainSettings], film_table: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """What the commands are given, by its name in COMMANDS."""
    at = tmp_path_factory.mktemp("given")
    names = {name: str(at / name) for name in ("SITE", "FILMS", "RUN", "OTHER", "CLASSIFIER", "GAN.toml")}
    ingest_phantoms(at / "SITE", patients=120, site="A", resolution=32, seed=11)
    film_table(at / "FILMS")
    tiny(total_images=64).save(at / "GAN.toml")
    settings = {
        "ENRICH.toml": ENRICH, "MERGE.toml": MERGE, "TRANSFER.toml": TRANSFER, "FEDERATED.toml": FEDERATED
    }  # fmt: skip
    for name, text in settings.items():
        (at / name).write_text(
            text.replace("SITE", names["SITE"]).replace("RUN", names["RUN"]).replace("OTHER", names["OTHER"]),
            encoding="utf-8",
        )
        names[name] = str(at / name)
    for command, name, extra in (
        ("train", "RUN", []),
        ("train", "OTHER", ["--set", "seed=1"]),
        ("classify train", "CLASSIFIER", []),
    ):
        assert run([*(names.get(part, part) for part in COMMANDS[command]), "--out", names[name], *extra]) == 0
    return names


@pytest.fixture
def everybody() -> Iterator[None]:
    """A umask of 0: only the program's own care keeps others out."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_refused_in_one_line_while_another_process_writes_to_its_folder(
    command: str,
    given: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(folders, "PATIENCE_SECONDS", 0)
    out = tmp_path / "out"
    with alone_in(out, private=False):
        assert run([*(given.get(part, part) for part in COMMANDS[command]), "--out", str(out)]) == 2
        assert [path.name for path in out.iterdir()] in ([".lock"], [".lock", "pseudonym.key"])
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("radcommons: ")]
    assert line == f"radcommons: another process writes to {out}; wait for it, stop it, or choose another --out"


@pytest.mark.parametrize("command", QUICK_ONES)
def test_under_a_umask_of_0_nobody_else_writes_and_only_the_owner_reads_what_comes_from_patients(
    command: str, given: dict[str, str], tmp_path: Path, everybody: None
) -> None:
    out = tmp_path / "out"
    assert run([*(given.get(part, part) for part in COMMANDS[command]), "--out", str(out)]) == 0
    if command.startswith("data"):
        assert run(["data", "info", str(out)]) == 0
    written = [out, *out.rglob("*")]
    assert len(written) > 2 and not (out / ".lock").exists()
    forbidden = 0o022 if command in SHARED else 0o077
    assert [path.name for path in written if path.stat().st_mode & forbidden] == []
    if command in SHARED:
        assert all(path.stat().st_mode & 0o044 == 0o044 for path in written), "it is meant to be shared"


@pytest.mark.parametrize("command", QUICK_ONES)
def test_a_lock_that_a_kill_left_holds_nobody_up_and_goes_with_the_command(
    command: str, given: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / ".lock").touch()
    assert run([*(given.get(part, part) for part in COMMANDS[command]), "--out", str(out)]) == 0
    assert not (out / ".lock").exists()
