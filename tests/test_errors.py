"""Every error is one line on stderr with its exit status; an unknown name gets the nearest known one."""

import inspect
from pathlib import Path

import pytest

from radcommons import errors
from radcommons.errors import BadInput, GateRefused, RadCommonsError, nearest, nearest_hint

ALL = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, RadCommonsError)]


@pytest.mark.parametrize("error", ALL, ids=lambda c: c.__name__)
def test_every_error_exits_with_2_or_for_gates_3(error: type[RadCommonsError]) -> None:
    assert error.exit_code == (3 if issubclass(error, GateRefused) else 2)


def test_bad_input_is_told_from_what_stopped_a_good_one() -> None:
    assert not issubclass(errors.TrainingDiverged, BadInput)
    assert not issubclass(errors.WorkerKilled, BadInput)
    assert issubclass(errors.DiskFull, BadInput)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Cardiomegalie", "Cardiomegaly"), ("EDEMA", "Edema"), ("Effusions", "Effusion"), ("xyz", None), ("", None)],
)
def test_the_nearest_name_ignores_case_and_refuses_to_guess(name: str, expected: str | None) -> None:
    assert nearest(name, ("Cardiomegaly", "Edema", "Effusion")) == expected


def test_a_hint_is_the_nearest_name_or_the_whole_list() -> None:
    assert nearest_hint("Edem", ["Edema", "Mass"]) == "the nearest is 'Edema'"
    assert nearest_hint("xyz", iter(["Edema", "Mass"])) == "known are Edema, Mass"


def test_a_system_error_names_a_path_only_where_the_user_named_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from radcommons import cli
    from radcommons.data.store import Store

    def refuse(path: str) -> None:
        def opening(_: object) -> None:
            raise PermissionError(13, "Permission denied", path)

        monkeypatch.setattr(Store, "open", opening)

    refuse("/elsewhere/DOE_JANE.png")
    assert cli.run(["data", "info", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "radcommons: Permission denied\n"
    refuse(str(tmp_path / "DOE_JANE" / "1.png"))
    assert cli.run(["data", "info", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"radcommons: something in {tmp_path}: Permission denied\n"
    refuse(str(tmp_path / "store.json"))
    assert cli.run(["data", "info", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"radcommons: {tmp_path / 'store.json'}: Permission denied\n"
