from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from radcommons.errors import PathMissing, SettingRefused, StudyRefused
from radcommons.study.design import IMAGES, IMAGES_RECORD, SETTINGS, Study, StudyImage, StudyImages, StudySettings


def small_study(
    folder: Path, *, sizes: tuple[int, ...] = (16, 32), each: int = 5, practice: int = 4, **changes: object
) -> Study:
    """A study of grey images."""
    blocks = [{"resolution": side, "real": each, "synthetic": each} for side in sizes]
    values = {"store": "none", "synthetic": ["none"], "block": blocks, "practice": practice, **changes}
    settings = StudySettings.parse(values, source="test")
    kinds = [(0, truth, True) for truth in ("real", "synthetic") for _ in range(practice // 2)]
    kinds += [(b, truth, False) for b in range(len(sizes)) for truth in ("real", "synthetic") for _ in range(each)]
    images = [
        StudyImage.model_validate({"name": f"{i * 7919:032x}", "block": block, "truth": truth, "practice": shown})
        for i, (block, truth, shown) in enumerate(kinds)
    ]
    (folder / IMAGES).mkdir(parents=True)
    for i, image in enumerate(images):
        Image.new("L", (sizes[image.block],) * 2, i % 256).save(folder / IMAGES / f"{image.name}.png")
    settings.save(folder / SETTINGS)
    (folder / IMAGES_RECORD).write_text(StudyImages(images=tuple(images)).to_json())
    return Study.open(folder)


def test_every_reader_sees_all_images_in_an_order_of_their_own_practice_first(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    first, again, second = study.order(1), study.order(1), study.order(2)
    assert first == again != second and Counter(i.name for i in first) == Counter(i.name for i in second)
    assert [i.practice for i in first] == [True] * 4 + [False] * 20
    assert [i.block for i in first] == [0] * 14 + [1] * 10
    assert {i.truth for i in first[4:9]} == {"real", "synthetic"}


def test_the_order_does_not_follow_the_names(tmp_path: Path) -> None:
    names = [image.name for image in small_study(tmp_path, each=50).order(3)]
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
def test_what_does_not_fit_together_is_refused(tmp_path: Path, changes: dict, said: str) -> None:
    with pytest.raises(SettingRefused, match=said):
        small_study(tmp_path, **changes)


def test_a_folder_that_is_no_study_or_lacks_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PathMissing, match="is no study; make one"):
        Study.open(tmp_path)
    study = small_study(tmp_path / "study")
    study.path(study.images[3]).unlink()
    with pytest.raises(StudyRefused, match="1 of 24 images are missing; make the study again"):
        Study.open(tmp_path / "study")
