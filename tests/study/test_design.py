from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from radcommons.errors import PathMissing, SettingRefused, StudyRefused
from radcommons.study.design import Study


def test_every_reader_sees_all_images_in_an_order_of_their_own_practice_first(
    new_study: Callable[..., Any], tmp_path: Path
) -> None:
    study = new_study(tmp_path, each=5, practice=4)
    first, again, second = study.order(1), study.order(1), study.order(2)
    assert first == again != second and Counter(i.name for i in first) == Counter(i.name for i in second)
    assert [i.practice for i in first] == [True] * 4 + [False] * 20
    assert [i.block for i in first] == [0] * 14 + [1] * 10
    assert {i.truth for i in first[4:9]} == {"real", "synthetic"}


def test_the_order_does_not_follow_the_names(new_study: Callable[..., Any], tmp_path: Path) -> None:
    names = [image.name for image in new_study(tmp_path, each=50).order(3)]
    assert names != sorted(names)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"back": True}, "'back' lets readers change answers"),
        ({"practice": 3}, "give an even number"),
        ({"sizes": (16, 16)}, "two blocks have the same resolution"),
        ({"synthetic": []}, "synthetic"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    new_study: Callable[..., Any], tmp_path: Path, changes: dict, said: str
) -> None:
    with pytest.raises(SettingRefused, match=said):
        new_study(tmp_path, **changes)


def test_a_folder_that_is_no_study_or_lacks_images_is_refused(new_study: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(PathMissing, match="is no study; make one"):
        Study.open(tmp_path)
    study = new_study(tmp_path / "study", each=5, practice=4)
    study.path(study.images[3]).unlink()
    with pytest.raises(StudyRefused, match="1 of 24 images are missing; make the study again"):
        Study.open(tmp_path / "study")
