import threading
from pathlib import Path

import pytest

from radcommons.errors import PathInUse, StudyRefused
from radcommons.study import begun
from radcommons.study.begun import close, has_begun, open_to_changes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "server").mkdir()
    return tmp_path


def test_a_study_is_open_to_changes_until_readers_begin(folder: Path) -> None:
    with open_to_changes(folder):
        assert not has_begun(folder)
    close(folder)
    close(folder)
    assert has_begun(folder)
    with pytest.raises(StudyRefused, match="readers have begun"), open_to_changes(folder):
        pass


def test_no_reader_begins_while_a_change_is_under_way(folder: Path) -> None:
    with open_to_changes(folder):
        reader = threading.Thread(target=close, args=(folder,))
        reader.start()
        reader.join(0.3)
        assert reader.is_alive() and not has_begun(folder)
    reader.join(10)
    assert has_begun(folder)


def test_a_second_change_waits_and_says_so_if_the_first_does_not_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(begun, "SECONDS_FOR_A_LOCK", 0.1)
    with open_to_changes(folder), pytest.raises(PathInUse, match="another process changes"), open_to_changes(folder):
        pass
    with open_to_changes(folder):
        pass
