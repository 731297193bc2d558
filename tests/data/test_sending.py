"""What leaves the process that writes a store: paths and labels under pseudonyms, never the key or an identifier."""

import pickle
from pathlib import Path

import pytest

from radcommons.data.listing import Candidate
from radcommons.data.pseudonyms import pseudonym
from radcommons.data.sending import for_other_machines, require_folder, under_pseudonyms
from radcommons.errors import PathMissing

KEY = bytes(32)


def candidate(path: str, patient: str) -> Candidate:
    return Candidate(2, Path(path), patient, f"image-of-{patient}", (1, None), view="PA", part="train")


def test_identifiers_are_replaced_and_everything_else_stays() -> None:
    (hidden,) = under_pseudonyms([candidate("films/a.png", "MRN771")], KEY)
    assert (hidden.patient, hidden.image) == (pseudonym("MRN771", key=KEY), pseudonym("image-of-MRN771", key=KEY))
    assert (hidden.row, hidden.path, hidden.labels, hidden.part) == (2, Path("films/a.png"), (1, None), "train")
    assert b"MRN771" not in pickle.dumps(hidden) and KEY not in pickle.dumps(hidden)


def test_other_machines_get_absolute_paths_and_the_folder_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sent, folder = for_other_machines([candidate("films/x/a.png", "1"), candidate("films/y/b.png", "2")])
    assert [c.path for c in sent] == [tmp_path / "films/x/a.png", tmp_path / "films/y/b.png"]
    assert folder == tmp_path / "films"
    assert for_other_machines([candidate("films/a.png", "1")])[1] == tmp_path / "films"


def test_a_machine_without_the_folder_is_told_from_one_that_lost_a_film(tmp_path: Path) -> None:
    require_folder(tmp_path)
    with pytest.raises(PathMissing, match="a worker of the cluster does not see the folder of the films; put them"):
        require_folder(tmp_path / "no")
