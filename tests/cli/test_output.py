"""Commands that are named to people can be typed as they stand."""

import sys
from pathlib import Path

import pytest

from radcommons.cli.output import as_typed


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """An installation in a folder of the working folder."""
    path = tmp_path / "a venv" / "bin" / "radcommons"
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_program_is_named_with_its_path_from_here(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [str(program), "demo"])
    monkeypatch.chdir(tmp_path)
    assert as_typed() == "'a venv/bin/radcommons'"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert as_typed() == f"'{program}'"


def test_called_from_the_path_or_as_a_module_it_is_the_one_beside_the_python_that_runs(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(program.with_name("python")))
    for called in ("/lib/radcommons/__main__.py", "pytest"):
        monkeypatch.setattr(sys, "argv", [called])
        assert as_typed() == "'a venv/bin/radcommons'"
    program.unlink()
    assert as_typed() == f"'{program.with_name('python')}' -m radcommons"
