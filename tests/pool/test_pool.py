import csv
import json
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch

import radcommons
from radcommons.classify.training_data import open_split
from radcommons.data.image_set import open_image_set
from radcommons.errors import FindingUnknown, PathInUse, SettingRefused
from radcommons.models.generator import Generator, LabelChoice
from radcommons.models.label_loss import known_cross_entropy
from radcommons.pool.pool import Pool
from radcommons.pool.settings import PoolSettings
from radcommons.synthetic.dicom import labels_from_comment
from radcommons.synthetic.reading import SyntheticSet
from radcommons.synthetic.sampling import write_set

Make = Callable[..., Path]
Spec = Callable[..., PoolSettings]
TwoSites = tuple[Path, Path]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def written(settings: PoolSettings, out: Path) -> SyntheticSet:
    Pool(settings).write(out)
    return SyntheticSet.open(out)


def column(found: SyntheticSet, finding: str) -> np.ndarray:
    return found.labels[:, found.findings.index(finding)]


# ---- labels ----


@pytest.mark.parametrize("format", ["png", "dicom", "npz"])
def test_what_a_generator_does_not_know_stays_unknown_for_its_images(
    spec: Spec, two_sites: TwoSites, tmp_path: Path, format: str
) -> None:
    found = written(spec(*two_sites, total_images=20, format=format), tmp_path / "set")
    assert found.findings == ("Effusion", "Mass", "Pneumonia")
    assert np.isnan(column(found, "Mass")).tolist() == [False] * 10 + [True] * 10
    assert np.isnan(column(found, "Pneumonia")).tolist() == [True] * 10 + [False] * 10
    with (tmp_path / "set" / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["Mass"] for row in rows[10:]} == {""} and "" not in {row["Mass"] for row in rows[:10]}
    styled = json.loads((tmp_path / "set" / "dataset.json").read_text())["labels"]
    assert {labels[1] for _, labels in styled[10:]} == {None}
    if format == "dicom":
        comment = pydicom.dcmread(tmp_path / "set" / rows[15]["image"]).ImageComments
        assert list(labels_from_comment(comment)) == ["Effusion", "Pneumonia"]
    if format == "npz":
        with np.load(tmp_path / "set" / "images.npz") as arrays:
            assert np.array_equal(arrays["labels"], found.labels, equal_nan=True)


def test_one_finding_of_two_names_is_one_column(spec: Spec, two_sites: TwoSites, tmp_path: Path) -> None:
    asked = {"reference": str(two_sites[1]), "findings": {"Effusion": 4}}
    found = written(
        spec({"reference": str(two_sites[0]), "findings": {"Pleural Effusion": 6}}, asked), tmp_path / "set"
    )
    assert column(found, "Effusion").tolist() == [1] * 10, "each generator is asked under its own name"
    assert Pool(spec(asked)).findings == ("Pneumonia", "Effusion")


def test_one_generator_with_two_names_for_a_finding_is_refused(spec: Spec, make: Make) -> None:
    with pytest.raises(FindingUnknown, match="'Effusion' and 'Pleural Effusion' of odd are the same finding"):
        Pool(spec(make("odd", ["Effusion", "Pleural Effusion"]), total_images=4))


def test_readers_of_a_set_take_unknown_labels_as_unknown(spec: Spec, two_sites: TwoSites, tmp_path: Path) -> None:
    tables = [{"reference": str(path), "balanced": True} for path in two_sites]
    found = written(spec(*tables, total_images=120), tmp_path / "set")
    assert np.array_equal(open_image_set(tmp_path / "set").labels, found.labels, equal_nan=True)
    split = open_split([tmp_path / "set"], validation=None, findings=None, side=16, seed=0)
    labels = torch.from_numpy(split.train.labels)
    mass = split.train.findings.index("Mass")
    assert split.train.findings == found.findings and 0 < int(labels[:, mass].isnan().sum()) < len(labels)
    logits = torch.zeros(labels.shape, requires_grad=True)
    known_cross_entropy(logits, labels).sum().backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad == 0, labels.isnan()), "an unknown label teaches nothing"


# ---- counts ----


def test_counts_for_findings_are_exact_and_spread_over_the_run(spec: Spec, make: Make, tmp_path: Path) -> None:
    table = {
        "reference": str(make("a", ["Effusion", "Mass"])),
        "findings": {"Mass": 30, "No Finding": 20, "Effusion": 10},
    }
    other = {"reference": str(make("b", ["Pneumonia"])), "images": 7}
    found = written(spec(other, table), tmp_path / "set")
    labels = found.labels[7:, 1:]
    assert (labels[:, 0] == 1).sum() == 10 and (labels[:, 1] == 1).sum() == 30
    assert (labels.sum(axis=1) == 0).sum() == 20
    thirds = [(part[:, 1] == 1).sum() for part in np.split(labels, 3)]
    assert max(thirds) - min(thirds) <= 2


def test_no_finding_is_the_label_of_a_generator_that_has_one(spec: Spec, make: Make) -> None:
    table = {"reference": str(make("c", ["No Finding", "Mass"])), "findings": {"Normal": 3, "Mass": 3}}
    labels = np.concatenate([batch.labels for batch in Pool(spec(table)).batches()])
    assert sorted(map(tuple, labels.tolist())) == [(0, 1)] * 3 + [(1, 0)] * 3


def test_a_balanced_pool_has_each_finding_as_often(spec: Spec, two_sites: TwoSites, tmp_path: Path) -> None:
    found = written(spec(*two_sites, total_images=60, balanced=True, no_finding=True), tmp_path / "set")
    assert {finding: int(np.nansum(column(found, finding))) for finding in found.findings} == {
        "Effusion": 15,
        "Mass": 15,
        "Pneumonia": 15,
    }
    assert int((np.nansum(found.labels, axis=1) == 0).sum()) == 15


@pytest.mark.parametrize(
    ("findings", "message"),
    [
        ({"Efusion": 5, "Hernia": 1}, "'Efusion' is not one of .*a's; the nearest is 'Effusion'; finding 'Hernia' is"),
        ({"Effusion": 5, "Pleural Effusion": 1}, "'Pleural Effusion' names Effusion twice"),
    ],
)
def test_a_count_of_a_wrong_finding_is_refused(
    spec: Spec, two_sites: TwoSites, findings: dict[str, int], message: str
) -> None:
    table, other = ({"reference": str(path), "findings": findings} for path in two_sites)
    with pytest.raises(FindingUnknown, match=message):
        Pool(spec(table))
    with pytest.raises(FindingUnknown, match=f"{message}.*{two_sites[1]}"):
        Pool(spec(table, other))


# ---- images ----


def test_a_pool_of_one_generator_is_the_set_that_generate_draws(
    spec: Spec, two_sites: TwoSites, tmp_path: Path
) -> None:
    choice = LabelChoice(balanced=True)
    write_set([Generator.load(two_sites[0])], tmp_path / "generated", 11, choice=choice, seed=5)
    written(spec({"reference": str(two_sites[0]), "images": 11, "balanced": True}, seed=5), tmp_path / "pooled")
    generated, pooled = contents(tmp_path / "generated"), contents(tmp_path / "pooled")
    provenances = [json.loads(files.pop("provenance.json")) for files in (generated, pooled)]
    assert generated == pooled
    assert provenances[0]["images"] == provenances[1]["images"]


def test_larger_images_are_averaged_down_to_those_of_the_smallest(spec: Spec, make: Make, tmp_path: Path) -> None:
    large, small = make("large", ["Mass"], resolution=32), make("small", ["Mass"])
    found = written(spec(large, small, total_images=12), tmp_path / "set")
    assert found.resolution == 16
    whole = Generator.load(large).generate(6).images.astype(float)
    means = whole.reshape(6, 16, 2, 16, 2).mean(axis=(2, 4))
    assert np.abs(np.stack([found.image(i) for i in range(6)]) - means).max() <= 0.5
    assert np.array_equal(found.image(11), Generator.load(small).generate(12).images[11])


def test_images_are_enlarged_only_if_that_is_asked_for(spec: Spec, make: Make) -> None:
    generators = make("large", ["Mass"], resolution=32), make("small", ["Mass"])
    with pytest.raises(SettingRefused, match="small draws 16 x 16 pixels; set 'resolution = 16', or 'enlarge = true'"):
        Pool(spec(*generators, total_images=4, resolution=32))
    pool = Pool(spec(*generators, total_images=4, resolution=32, enlarge=True))
    assert {batch.images.shape[1:] for batch in pool.batches()} == {(32, 32)}


def test_image_i_depends_on_the_specification_only(spec: Spec, two_sites: TwoSites, tmp_path: Path) -> None:
    pool = Pool(spec(*two_sites, total_images=100, seed=2))
    whole = np.concatenate([batch.images for batch in pool.batches()])
    assert np.array_equal(np.concatenate([batch.images for batch in pool.batches(37, 81)]), whole[37:81])
    other = np.concatenate([b.images for b in Pool(spec(*two_sites, total_images=100, seed=3)).batches()])
    assert not np.array_equal(other, whole)
    for name in ("first", "second"):
        Pool(spec(*two_sites, total_images=20)).write(tmp_path / name)
    assert contents(tmp_path / "first") == contents(tmp_path / "second")


# ---- the folder ----


def test_provenance_says_of_every_image_who_drew_it_from_what(spec: Spec, two_sites: TwoSites, tmp_path: Path) -> None:
    table = {"reference": str(two_sites[0]), "images": 3}
    written(spec(table, {"reference": str(two_sites[1]), "findings": {"Effusion": 4}}, seed=9), tmp_path / "set")
    provenance = json.loads((tmp_path / "set" / "provenance.json").read_text())
    assert provenance["seed"] == 9 and provenance["label_choice"] == "by generator"
    a, b = provenance["generators"]
    assert a["digest"] == Generator.load(two_sites[0]).digest and b["digest"] == Generator.load(two_sites[1]).digest
    assert (a["images"], a["label_choice"], a["findings"]) == (3, "as in training", ["Effusion", "Mass"])
    assert (b["images"], b["label_choice"]) == (4, "drawn for Pleural Effusion: 4")
    assert [image["generator"] for image in provenance["images"]] == [0, 0, 0, 1, 1, 1, 1]
    assert provenance["images"][3] == {
        "file": "images/00000003.png",
        "index": 3,
        "generator": 1,
        "labels": [1, None, 0],
    }
    drawn = Generator.load(two_sites[1]).generate(4, findings={"Pleural Effusion": 1}, seed=9).images[3]
    assert np.array_equal(SyntheticSet.open(tmp_path / "set").image(3), drawn), "image 3 of that generator's seed 9"


@pytest.mark.parametrize("format", ["png", "npz"])
def test_a_pool_killed_and_continued_equals_one_drawn_at_once(
    spec: Spec, two_sites: TwoSites, tmp_path: Path, format: str
) -> None:
    asked = spec(*two_sites, total_images=300, balanced=True, format=format)
    asked.save(tmp_path / "pool.toml")
    program = f"""
import os, signal
from radcommons.pool.pool import Pool
from radcommons.synthetic.writing import SetWriter
write, left = SetWriter.write, [3]
def killing(self, batch):
    write(self, batch)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
SetWriter.write = killing
Pool.load({str(tmp_path / "pool.toml")!r}).write({str(tmp_path / "killed")!r})
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "provenance.json").exists()
    drawn = Pool(asked).write(tmp_path / "killed")
    assert 0 < drawn < 300
    assert Pool(asked).write(tmp_path / "at once") == 300
    assert contents(tmp_path / "killed") == contents(tmp_path / "at once")
    assert Pool(asked).write(tmp_path / "killed") == 0


@pytest.mark.parametrize(
    ("changes", "difference"),
    [({"seed": 1}, "seed = 0, not 1"), ({"balanced": True}, "label_choice = by generator, not balanced over the pool")],
)
def test_another_specification_in_the_same_folder_is_refused(
    spec: Spec, two_sites: TwoSites, tmp_path: Path, changes: dict[str, Any], difference: str
) -> None:
    Pool(spec(*two_sites, total_images=6)).write(tmp_path / "set")
    before = contents(tmp_path / "set")
    with pytest.raises(PathInUse, match=difference):
        Pool(spec(*two_sites, total_images=6, **changes)).write(tmp_path / "set")
    assert contents(tmp_path / "set") == before


def test_no_more_than_a_few_blocks_of_images_are_alive_however_many_are_drawn(
    spec: Spec, two_sites: TwoSites, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    alive, most = 0, 0
    draw = Generator.draw

    def gone() -> None:
        nonlocal alive
        alive -= 1

    def counted(self: Generator, *inputs: np.ndarray) -> np.ndarray:
        nonlocal alive, most
        block = draw(self, *inputs)
        weakref.finalize(block, gone)
        alive += 1
        most = max(most, alive)
        return block

    monkeypatch.setattr(Generator, "draw", counted)
    peaks = []
    for total in (400, 4000):
        most = 0
        Pool(spec(*two_sites, total_images=total, format="npz")).write(tmp_path / str(total))
        peaks.append(most)
    assert peaks[0] == peaks[1] <= 3, "blocks of 64 images"


# ---- Python ----


def test_a_pool_is_a_public_name_and_made_from_folders_alone(two_sites: TwoSites) -> None:
    assert radcommons.Pool is Pool
    pool = Pool.of(*two_sites, total_images=10, balanced=True)
    assert len(pool) == 10 and pool.findings == ("Effusion", "Mass", "Pneumonia") and pool.resolution == 16
