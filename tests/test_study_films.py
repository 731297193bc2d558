"""Films of a study, and the commands that make one."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from radcommons.cli import run
from radcommons.data.image_set import open_image_set
from radcommons.data.store import Store
from radcommons.errors import SetRefused, SettingRefused
from radcommons.models.generator import Generator
from radcommons.pool.settings import PoolSettings
from radcommons.study.design import SOURCES, Study, StudySettings
from radcommons.study.making import write_study
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
    (first, second), _ = synthetic_films(settings_of(phantom_store.path, packaged, tmp_path / "set"))
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
    (drawn,), origins = synthetic_films(settings)
    assert origins.sources[0].kind == "pool" and set(origins.drawn_by[0]) == {Generator.load(packaged).digest}
    assert run(["pool", str(spec), "--out", str(tmp_path / "set")]) == 0
    written = {image.tobytes() for image in open_image_set(tmp_path / "set").images}
    assert len({image.tobytes() for image in drawn}) == 10 and {image.tobytes() for image in drawn} < written
    assert (synthetic_films(settings)[0][0] == drawn).all()
    beside = settings_of(phantom_store.path, spec, packaged, block=[{"resolution": 16, "real": 1, "synthetic": 9}])
    assert sum(image.tobytes() in written for image in synthetic_films(beside)[0][0]) == 5
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
    assert synthetic_films(settings_of(phantom_store.path, spec))[0][0].shape == (4, 16, 16)


def test_with_fewer_images_than_sources_the_last_sources_give_none(phantom_store: Store, packaged: Path) -> None:
    block = [{"resolution": 16, "real": 1, "synthetic": 2}]
    three = settings_of(phantom_store.path, packaged, packaged, packaged, block=block, practice=0)
    assert synthetic_films(three)[0][0].shape == (2, 16, 16)


def test_whose_images_a_study_shows_is_known_of_each_and_says_nothing_else(
    phantom_store: Store, packaged: Path, tmp_path: Path
) -> None:
    ours, other, digest = tmp_path / "set", tmp_path / "others", Generator.load(packaged, device="cpu").digest
    for folder, seed in ((ours, 3), (other, 4)):
        assert run(["generate", str(packaged), "--out", str(folder), "-n", "4", "--seed", str(seed)]) == 0
    (other / "provenance.json").unlink()  # as of a set from anywhere
    provenance = json.loads((ours / "provenance.json").read_text())
    provenance["generators"].append({**provenance["generators"][0], "digest": "e" * 64})
    provenance["images"][2]["generator"] = 1  # as of a pool
    (ours / "provenance.json").write_text(json.dumps(provenance, indent=1))
    blocks = [{"resolution": 16, "real": 2, "synthetic": 10}]
    settings = settings_of(phantom_store.path, packaged, ours, other, block=blocks)
    (drawn,), origins = synthetic_films(settings)
    known = {image.tobytes(): number for number, image in enumerate(open_image_set(ours).images)}
    strangers = {image.tobytes() for image in open_image_set(other).images}
    for image, said in zip(drawn, origins.drawn_by[0], strict=True):
        number = known.get(image.tobytes())
        of_set = {None: digest, 2: "e" * 64}.get(number, digest)
        assert said == (None if image.tobytes() in strangers else of_set)
    assert [source.kind for source in origins.sources] == ["generator", "set", "set"]
    folder = tmp_path / "study"
    folder.mkdir()
    study = write_study(folder, settings, real_films(settings), [drawn], origins=origins)
    record = study.sources()
    assert {image.name for image in study.images if image.truth == "real"}.isdisjoint(record.drawn_by)
    shown = [image for image in study.images if image.truth == "synthetic"]
    assert sorted(record.drawn_by.values()) == sorted(filter(None, origins.drawn_by[0]))
    for image in shown:
        pixels = cv2.imread(str(folder / "originals" / f"{image.name}.png"), cv2.IMREAD_GRAYSCALE)
        place = next(i for i, one in enumerate(drawn) if (one == pixels).all())
        assert record.drawn_by.get(image.name) == origins.drawn_by[0][place]
    text = (folder / SOURCES).read_text()
    assert not [word for word in ("/", "phantom", phantom_store.name, packaged.name) if word in text]


def test_a_set_whose_provenance_is_damaged_is_refused(phantom_store: Store, packaged: Path, tmp_path: Path) -> None:
    ours = tmp_path / "set"
    assert run(["generate", str(packaged), "--out", str(ours), "-n", "5"]) == 0
    text = (ours / "provenance.json").read_text()
    (ours / "provenance.json").write_text(text.replace('"generator": 0', '"generator": 7', 1))
    with pytest.raises(SetRefused, match="does not say which generator drew which image; generate the set again"):
        synthetic_films(settings_of(phantom_store.path, ours))


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
    drawn_by = set(study.sources().drawn_by.values())
    assert drawn_by == {Generator.load(packaged, device="cpu").digest}
    assert out.stat().st_mode & 0o077 == 0 and all(len(image.boxes) == 4 for image in study.images)
    name = study.images[0].name
    assert run(["study", "cover", str(out), "--image", name, "--clear", "--box", "1,1,3,3", "--json"]) == 0
    changed = json.loads(capsys.readouterr().out)["images"]
    assert [one["boxes"] for one in changed] == [[[1, 1, 3, 3]]] * len(changed) and "truth" not in changed[0]
    assert run(["study", "create", str(spec), "--out", str(out)]) == 2
    assert "already holds something" in capsys.readouterr().err
    assert np.unique([image.name for image in study.images]).size == 11
