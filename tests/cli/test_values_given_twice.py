"""What is given twice, or is no seed, is refused in one line by every command, before anything is done."""

from pathlib import Path

import pytest

from radcommons.cli import run

TWICE = {
    "generate run -n 3 --label Effusion=1 --label Effusion=0": "--label Effusion",
    "train store --preset small-64 --set seed=1 --set seed=2": "--set seed",
    "classify eval run store --finding Effusion --finding Effusion": "--finding Effusion",
    "classify attack run store --finding Effusion --finding Effusion": "--finding Effusion",
    "classify attack run store --epsilon 1 --epsilon 1.0": "--epsilon 1.0",
    "classify attack run store --set steps=1 --set steps=2": "--set steps",
    "classify train store set ./store": "STORE|SET",
    "audit run store --set seed=1 --set seed=1": "--set seed",
}
SEEDED = (
    "generate run -n 3",
    "data phantom --patients 3",
    "classify eval run store",
    "classify attack run store",
    "explain morph run --all",
    "explain map run --all",
    "explain correlate run --classifier run",
    "explain all run",
)
IMPORTED = {
    "table": ("any.csv", "image,patient,Effusion"),
    "dicom": ("any.csv", "image,patient,Effusion"),
    "nih": ("Data_Entry_2017.csv", "Image Index,Patient ID,Finding Labels"),
    "chexpert": ("train.csv", "Path,Sex,Pleural Effusion"),
    "rsna": ("stage_2_train_labels.csv", "patientId,x,Target"),
}
SETTINGS = ("train store --preset small-64", "classify train store --preset small-64", "audit run store")
BAD_SEEDS = {
    "-1": "greater than or equal to 0",
    str(2**63): "less than or equal to 9223372036854775807",
    "1" * 30: "less",
}


def refusal(command: str, out: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert run([*command.split(), "--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert not out.exists()
    return line


@pytest.mark.parametrize("command", TWICE)
def test_a_value_given_twice_is_refused(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(command, tmp_path / "out", capsys)
    assert line.startswith(f"radcommons: {TWICE[command]}") and line.endswith("is given twice; give it once")


def test_a_finding_named_twice_in_settings_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("train store", "classify train store"):
        line = refusal(f"{command} --preset small-64 --set findings=Mass,Mass", tmp_path / "out", capsys)
        assert line.endswith("'findings' is 'Mass,Mass': names Mass twice; name it once")


@pytest.mark.parametrize("asked", ["Effusion,Effusion", "Effusion, effusion", "Pleural Effusion,Effusion"])
def test_a_finding_of_an_import_named_twice_in_any_spelling_is_refused(
    asked: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    for name, header in IMPORTED.values():
        (folder / name).write_text(f"{header}\n1.png,p1,1\n")
    for source, (name, _) in IMPORTED.items():
        place = folder / name if source == "table" else folder
        labels = ["--labels", str(folder / name)] if source == "dicom" else []
        command = ["data", "import", source, str(place), *labels, "--findings", asked]
        assert run([*command, "--out", str(tmp_path / "out")]) == 2
        assert capsys.readouterr().err == "radcommons: finding 'Effusion' is named twice\n", source
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("seed", BAD_SEEDS)
def test_every_command_takes_the_same_seeds(seed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in SEEDED:
        line = refusal(f"{command} --seed {seed}", tmp_path / "out", capsys)
        assert line.startswith(f"radcommons: --seed is {seed}: input should be {BAD_SEEDS[seed]}"), command
    for command in SETTINGS:
        line = refusal(f"{command} --set seed={seed}", tmp_path / "out", capsys)
        assert f"'seed' is {seed}: input should be {BAD_SEEDS[seed]}" in line, command


def test_the_largest_seed_draws(tmp_path: Path) -> None:
    phantoms = ["data", "phantom", "--patients", "4", "--resolution", "16", "--seed", str(2**63 - 1)]
    assert run([*phantoms, "--out", str(tmp_path / "store")]) == 0
