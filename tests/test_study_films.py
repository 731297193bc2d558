"""Films of a study, and the commands that make one."""

import json
from pathlib import Path

import numpy as np
import pytest

from radcommons.cli import run
from radcommons.data.image_set import open_image_set
from radcommons.data.store import Store
from radcommons.errors import SettingRefused
from radcommons.models.generator import Generator
from radcommons.pool.settings import PoolSettings
from radcommons.study.design import Study, StudySettings
from radcommons.study_films import real_films, synthetic_films


def settings_of(store: Path, *sources: Path, **changes: object) -> StudySettings:
    blocks = [{"resolution": 16, "real": 2, "synthetic": 3}, {"resolution": 8, "real": 2, "synthetic": 2}]
    values = {"store": str(store), "synthetic": [str(s) for s in sources], "block": blocks, "practice": 2}
    return StudySettings.parse({**values, **changes}, source="test")


def test_real_films_are_of_the_test_part_and_of_different_patients(phantom_store: Store, packaged: Path) -> None:
    first, second = real_films(settings_of(phantom_store.path, packaged))
    assert (first.shape, second.shape) == ((3, 16, 16), (2, 8, 8))
    patients = []
    for shown, side in ((first, 16), (second, 8)):
        films = phantom_store.images(side)
        rows = [next(r for r in phantom_store.rows("test") if (films[r] == film).all()) for film in shown]
        patients += phantom_store.manifest["patient"].to_numpy()[rows].tolist()
    assert len(set(patients)) == 5
    other, _ = real_films(settings_of(phantom_store.path, packaged, seed=1))
    assert not (other == first).all()


def test_more_films_than_patients_are_refused(phantom_store: Store, packaged: Path) -> None:
    with pytest.raises(SettingRefused, match="shows 103 real films of different patients, practice included"):
        real_films(settings_of(phantom_store.path, packaged, block=[{"resolution": 16, "real": 102, "synthetic": 1}]))


def test_synthetic_images_come_in_equal_shares_and_are_averaged_down_but_never_enlarged(
    phantom_store: Store, packaged: Path, tmp_path: Path
) -> None:
    assert run(["generate", str(packaged), "--out", str(tmp_path / "set"), "-n", "5", "--seed", "3"]) == 0
    first, second = synthetic_films(settings_of(phantom_store.path, packaged, tmp_path / "set"))
    assert (first.shape, second.shape) == ((4, 16, 16), (2, 8, 8))
    drawn = Generator.load(packaged, device="cpu").generate(5, seed=3).images
    assert sum(any((image == one).all() for one in drawn) for image in first) == 2
    with pytest.raises(SettingRefused, match="a block shows 32 x 32; nothing is enlarged"):
        synthetic_films(settings_of(phantom_store.path, packaged, block=[{"resolution": 32}]))
    many = [{"resolution": 16, "real": 1, "synthetic": 20}]
    with pytest.raises(SettingRefused, match="has 5 images, and the study needs more"):
        synthetic_films(settings_of(phantom_store.path, tmp_path / "set", block=many))


def test_images_of_a_pool_are_some_of_those_that_the_pool_would_write_each_given_out_once(
    phantom_store: Store, packaged: Path, tmp_path: Path
) -> None:
    spec = tmp_path / "pool.toml"
    table = {"reference": str(packaged), "findings": {"Effusion": 7, "No Finding": 5}}
    PoolSettings.parse({"seed": 4, "generator": [table]}, source="test").save(spec)
    settings = settings_of(phantom_store.path, spec, block=[{"resolution": 16, "real": 1, "synthetic": 9}])
    (drawn,) = synthetic_films(settings)
    assert run(["pool", str(spec), "--out", str(tmp_path / "set")]) == 0
    written = {image.tobytes() for image in open_image_set(tmp_path / "set").images}
    assert len({image.tobytes() for image in drawn}) == 10 and {image.tobytes() for image in drawn} < written
    assert (synthetic_films(settings)[0] == drawn).all()
    beside = settings_of(phantom_store.path, spec, packaged, block=[{"resolution": 16, "real": 1, "synthetic": 9}])
    assert sum(image.tobytes() in written for image in synthetic_films(beside)[0]) == 5
    with pytest.raises(SettingRefused, match=r"pool\.toml has 12 images, and the study needs more"):
        synthetic_films(settings_of(phantom_store.path, spec, block=[{"resolution": 16, "synthetic": 12}]))


def test_a_pool_that_enlarges_a_generators_images_is_refused_for_a_block_of_that_size(
    phantom_store: Store, packaged: Path, tmp_path: Path
) -> None:
    spec = tmp_path / "pool.toml"
    asked = {"total_images": 40, "resolution": 32, "enlarge": True, "generator": [{"reference": str(packaged)}]}
    PoolSettings.parse(asked, source="test").save(spec)
    with pytest.raises(SettingRefused, match="has images of 16 x 16 pixels, and a block shows 32 x 32"):
        synthetic_films(settings_of(phantom_store.path, spec, block=[{"resolution": 32}]))
    assert synthetic_films(settings_of(phantom_store.path, spec))[0].shape == (4, 16, 16)


def test_with_fewer_images_than_sources_the_last_sources_give_none(phantom_store: Store, packaged: Path) -> None:
    block = [{"resolution": 16, "real": 1, "synthetic": 2}]
    three = settings_of(phantom_store.path, packaged, packaged, packaged, block=block, practice=0)
    assert synthetic_films(three)[0].shape == (2, 16, 16)


def test_a_study_is_made_and_covered_from_the_command_line(
    phantom_store: Store, packaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "study.toml"
    settings_of(phantom_store.path, packaged).save(spec)
    out = tmp_path / "study"
    assert run(["study", "create", str(spec), "--out", str(out), "--set", "cover=corners"]) == 0
    said = capsys.readouterr().out
    assert "11 images, 2 of them to practise (16 x 16 pixels: 2 real, 3 synthetic" in said
    assert "it stays in the hospital" in said and f"next: radcommons study serve {out}" in said
    study = Study.open(out)
    assert out.stat().st_mode & 0o077 == 0 and all(len(image.boxes) == 4 for image in study.images)
    name = study.images[0].name
    assert run(["study", "cover", str(out), "--image", name, "--clear", "--box", "1,1,3,3", "--json"]) == 0
    changed = json.loads(capsys.readouterr().out)["images"]
    assert [one["boxes"] for one in changed] == [[[1, 1, 3, 3]]] * len(changed) and "truth" not in changed[0]
    assert run(["study", "create", str(spec), "--out", str(out)]) == 2
    assert "already holds something" in capsys.readouterr().err
    assert np.unique([image.name for image in study.images]).size == 11
