"""What may be audited: generators, our sets, anybody's folder of images; and what is refused in one line."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from radcommons.audit.inputs.subject import open_subject
from radcommons.data.store import Store
from radcommons.errors import (
    FindingUnknown,
    GeneratorRefused,
    ImageRefused,
    PathMissing,
    SettingRefused,
    TooFewImages,
)
from radcommons.models.families.progan import GeneratorNetwork, ProganConfig
from radcommons.models.generator import Generator, LabelChoice
from radcommons.models.generator_files import save_generator
from radcommons.progress import silent
from radcommons.records import FindingsRecord
from radcommons.synthetic.sampling import write_set


def write_generator(folder: Path, findings: tuple[str, ...], *, resolution: int = 16, spoil: bool = False) -> Path:
    channels = {4: 6, 8: 5, 16: 4, 32: 3, 64: 2}
    channels = {r: c for r, c in channels.items() if r <= resolution}
    torch.manual_seed(0)
    config = ProganConfig(resolution=resolution, channels=channels, latent_size=5, findings=len(findings))
    network = GeneratorNetwork(config)
    if spoil:
        with torch.no_grad():
            network.conv.weight[0, 0, 0, 0] = float("nan")
    combinations = (((0,) * len(findings), 10), ((1,) * len(findings), 5)) if findings else (((), 10),)
    record = FindingsRecord(findings=findings, combinations=combinations, smallest_cell=5)
    save_generator(folder, network, record, name="tiny", family="progan", config=config, images_seen=1)
    return folder


def write_foreign_set(folder: Path, *, count: int = 6, side: int = 16) -> Path:
    (folder / "images").mkdir(parents=True)
    rows = ["image,Effusion,score"]
    for i in range(count):
        picture = np.random.default_rng(i).integers(0, 256, (side, side), np.uint8)
        cv2.imwrite(str(folder / "images" / f"{i}.png"), picture)
        rows.append(f"{i}.png,{i % 2},0.5")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_a_generator_draws_the_same_images_whatever_was_drawn_before(phantom_store: Store, tmp_path: Path) -> None:
    subject = open_subject(write_generator(tmp_path / "g", ("Effusion",)), phantom_store, track=silent)
    whole = np.concatenate([b.images for b in subject.batches(70, "balanced", seed=1)])
    rest = np.concatenate([b.images for b in subject.batches(70, "balanced", seed=1, start=65)])
    assert np.array_equal(whole[65:], rest)
    assert np.array_equal(subject.labels(70, "balanced", seed=1)[:, 0], np.ones(70)), (
        "one finding: it always has its turn"
    )
    assert not np.array_equal(whole, np.concatenate([b.images for b in subject.batches(70, "balanced", seed=2)]))


def test_a_set_of_ours_and_a_folder_from_anywhere_are_read_alike(phantom_store: Store, tmp_path: Path) -> None:
    generator = Generator.load(write_generator(tmp_path / "g", ("Effusion",)), device="cpu")
    write_set([generator], tmp_path / "ours", 9, choice=LabelChoice(), seed=0)
    foreign = write_foreign_set(tmp_path / "theirs")
    ours = open_subject(tmp_path / "ours", phantom_store, track=silent)
    theirs = open_subject(foreign, phantom_store, track=silent)
    for subject, count in ((ours, 9), (theirs, 6)):
        assert (subject.kind, subject.findings, subject.resolution) == ("set", ("Effusion",), 16)
        assert subject.available(100) == count
        drawn = list(subject.batches(count, "as in training", seed=0))
        assert sum(len(b.images) for b in drawn) == count
    assert theirs.labels(6, "balanced", seed=0)[:3, 0].tolist() == [1, 1, 1], "the finding's images come first"


def test_larger_foreign_images_are_averaged_down_to_the_nearest_size_of_the_store(
    phantom_store: Store, tmp_path: Path
) -> None:
    assert open_subject(write_foreign_set(tmp_path / "s", side=50), phantom_store, track=silent).resolution == 32


def test_a_faulty_folder_is_refused(phantom_store: Store, tmp_path: Path) -> None:
    folder = write_foreign_set(tmp_path / "s")
    (folder / "images" / "2.png").unlink()
    with pytest.raises(ImageRefused, match="labels.csv line 4: the image is missing"):
        open_subject(folder, phantom_store, track=silent)


def test_findings_that_the_store_does_not_label_are_named_with_those_in_both(
    phantom_store: Store, tmp_path: Path
) -> None:
    generator = write_generator(tmp_path / "g", ("Effusion", "Hernia"))
    with pytest.raises(FindingUnknown, match="knows Hernia, which .* does not label; in both are: Effusion"):
        open_subject(generator, phantom_store, track=silent)


def test_a_resolution_that_the_store_lacks_says_how_to_import(phantom_store: Store, tmp_path: Path) -> None:
    generator = write_generator(tmp_path / "g", ("Effusion",), resolution=64)
    with pytest.raises(
        SettingRefused, match="64 x 64 pixels and .* up to 32; import the films again with --resolution 64"
    ):
        open_subject(generator, phantom_store, track=silent)


def test_a_set_and_a_resolution_too_small_for_the_measures_are_refused(phantom_store: Store, tmp_path: Path) -> None:
    with pytest.raises(TooFewImages, match="has 5 images; an audit needs 6 or more: draw more of them"):
        open_subject(write_foreign_set(tmp_path / "s", count=5), phantom_store, track=silent)
    generator = write_generator(tmp_path / "g", ("Effusion",), resolution=8)
    with pytest.raises(SettingRefused, match="draws 8 x 8 pixels; an audit needs 16 x 16 or more: train a generator"):
        open_subject(generator, phantom_store, track=silent)


def test_weights_that_are_not_numbers_are_refused(phantom_store: Store, tmp_path: Path) -> None:
    generator = write_generator(tmp_path / "g", ("Effusion",), spoil=True)
    with pytest.raises(GeneratorRefused, match="conv.weight holds a value that is not a number"):
        open_subject(generator, phantom_store, track=silent)


def test_a_damaged_package_and_an_absent_one_are_refused(phantom_store: Store, tmp_path: Path) -> None:
    generator = write_generator(tmp_path / "g", ("Effusion",))
    (generator / "generator.safetensors").write_bytes(b"nothing")
    with pytest.raises(GeneratorRefused, match="is missing or not the file that config.json names"):
        open_subject(generator, phantom_store, track=silent)
    with pytest.raises(PathMissing, match="does not exist"):
        open_subject(tmp_path / "nowhere", phantom_store, track=silent)
