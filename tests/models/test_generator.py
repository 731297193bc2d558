from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytest import MonkeyPatch

from radcommons.errors import FindingUnknown, PathInUse, SettingRefused
from radcommons.models import generator as sampling
from radcommons.models.families import FAMILIES
from radcommons.models.families.progan import GeneratorNetwork, ProganConfig
from radcommons.models.families.rgan import GeneratorNetwork as RganGenerator
from radcommons.models.families.rgan import RganConfig
from radcommons.models.generator import FindingCounts, Generator, LabelChoice
from radcommons.models.generator_files import save_generator
from radcommons.models.grey_levels import to_bytes
from radcommons.records import FindingsRecord
from radcommons.synthetic.reading import SyntheticSet
from radcommons.synthetic.sampling import write_set
from radcommons.synthetic.writing import begun_precision

TRAINING = LabelChoice()


def save(folder: Path, seed: int = 0, combinations: tuple[tuple[tuple[int, ...], int], ...] | None = None) -> Path:
    torch.manual_seed(seed)
    config = ProganConfig(resolution=16, channels={4: 6, 8: 5, 16: 4}, latent_size=5, findings=3)
    if combinations is None:
        combinations = (((0, 0, 0), 60), ((1, 0, 0), 30), ((1, 1, 0), 10))  # the third never published
    record = FindingsRecord(findings=("Effusion", "Cardiomegaly", "Hernia"), combinations=combinations, smallest_cell=5)
    save_generator(folder, GeneratorNetwork(config), record, name="site", family="progan", config=config, images_seen=1)
    return folder


def save_rgan(folder: Path) -> Path:
    torch.manual_seed(0)
    config = RganConfig(resolution=16, channels={4: 6, 8: 5, 16: 4}, style=5, latent_size=5, findings=1)
    record = FindingsRecord(findings=("Effusion",), combinations=(((0,), 60), ((1,), 40)), smallest_cell=5)
    save_generator(folder, RganGenerator(config), record, name="site", family="rgan", config=config, images_seen=1)
    return folder


@pytest.fixture
def generator(tmp_path: Path) -> Generator:
    return Generator.load(save(tmp_path / "package"), device="cpu")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_device_draws_the_images_of_the_plain_formulas(family: str, device: torch.device, tmp_path: Path) -> None:
    """Within a grey level; the latents and labels are the same on every device."""
    torch.manual_seed(0)
    ladder = {"resolution": 16, "channels": {4: 6, 8: 5, 16: 4}, "findings": 2}
    own = {"latent_size": 5} if family == "progan" else {"style": 5, "noise": [16], "latent_size": 5 + 256}
    config = FAMILIES[family].config.parse({**ladder, **own}, source="test")
    network = FAMILIES[family].generator(config)
    record = FindingsRecord(findings=("A", "B"), combinations=(((0, 0), 6), ((1, 1), 6)), smallest_cell=5)
    save_generator(tmp_path / "g", network, record, name="site", family=family, config=config, images_seen=1)
    generator = Generator.load(tmp_path / "g", device=str(device))
    assert {value.device.type for value in generator.network.state_dict().values()} == {device.type}
    drawn = generator.generate(40, seed=1)
    latents, labels = (torch.from_numpy(x).double() for x in generator.inputs(range(40), TRAINING, 1))
    expected = to_bytes(network.double()(latents, labels))[:, 0].numpy()
    assert np.array_equal(drawn.labels, labels.float().numpy())
    assert np.abs(drawn.images.astype(int) - expected).max() <= 1 and len(np.unique(expected)) > 20


def test_image_i_depends_on_seed_and_i_only(generator: Generator) -> None:
    many, few = generator.generate(150, seed=4), generator.generate(3, seed=4)
    assert np.array_equal(many.images[:3], few.images) and np.array_equal(many.labels[:3], few.labels)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=5).filter(any), st.integers(0, 1000))
def test_counts_are_exact_over_a_run_wherever_it_begins(images: list[int], first: int) -> None:
    counts = FindingCounts({str(place): count for place, count in enumerate(images)}, first)
    found = Counter(counts.at(index) for index in range(first, first + sum(images)))
    assert found == Counter(counts.images)


def test_counts_are_spread_evenly_over_a_run() -> None:
    counts = FindingCounts({"Effusion": 700, "Cardiomegaly": 200, "No Finding": 100})
    tenths = [Counter(counts.at(index) for index in range(first, first + 100)) for first in range(0, 1000, 100)]
    assert all(abs(tenth["Effusion"] - 70) <= 5 and abs(tenth["No Finding"] - 10) <= 5 for tenth in tenths)


def test_images_drawn_for_a_finding_show_it_with_others_as_in_training(generator: Generator) -> None:
    counts = FindingCounts({"Effusion": 300, "No Finding": 100}, first=7)
    labels = generator.labels(407, choice=LabelChoice(counts=counts), seed=1)[7:]
    assert labels[:, 0].sum() == 300 and (labels.sum(axis=1) == 0).sum() == 100
    assert 40 < labels[:, 1].sum() < 115, "10 of 40 films with Effusion had Cardiomegaly too"
    with pytest.raises(FindingUnknown, match="the nearest is 'Effusion'"):
        LabelChoice(counts=FindingCounts({"Efusion": 1})).check(generator.findings)


def test_bf16_differs_by_less_than_a_grey_level_on_average(tmp_path: Path, generator: Generator) -> None:
    half = Generator.load(save(tmp_path / "again"), device="cpu", precision="bf16").generate(20, seed=4)
    whole = generator.generate(20, seed=4)
    assert np.array_equal(half.labels, whole.labels)
    assert 0 < np.abs(half.images.astype(int) - whole.images).mean() < 1


def test_auto_stays_fp32_for_a_family_with_a_faster_sampler_of_its_own(
    tmp_path: Path, monkeypatch: MonkeyPatch
) -> None:
    monkeypatch.setattr("radcommons.precision.bf16_is_fast", lambda device: True)
    assert Generator.load(save(tmp_path / "package"), device="cpu", precision="auto").precision == "fp32"


@pytest.mark.parametrize(("fast", "expected"), [(True, "bf16"), (False, "fp32")])
def test_auto_is_what_was_measured(tmp_path: Path, monkeypatch: MonkeyPatch, fast: bool, expected: str) -> None:
    monkeypatch.setattr("radcommons.precision.bf16_is_fast", lambda device: fast)
    generator = Generator.load(save_rgan(tmp_path / "package"), device="cpu", precision="auto")
    assert generator.precision == expected
    given = Generator.load(tmp_path / "package", device="cpu", precision=expected)
    assert np.array_equal(generator.generate(9).images, given.generate(9).images)


def test_a_set_in_bf16_says_so_and_is_another_set_than_in_fp32(tmp_path: Path) -> None:
    save_rgan(tmp_path / "package")
    half, whole = (Generator.load(tmp_path / "package", "cpu", precision) for precision in ("bf16", "fp32"))
    for one, other in ((half, whole), (whole, half)):
        out = tmp_path / one.precision
        write_set([one], out, 3, choice=TRAINING, seed=0)
        with pytest.raises(PathInUse, match="was begun with generators"):
            write_set([other], out, 3, choice=TRAINING, seed=0)
        assert begun_precision(out, "auto") == one.precision and begun_precision(out, "bf16") == "bf16"
        (entry,) = SyntheticSet.open(out).provenance["generators"]
        assert entry.get("precision", "fp32") == one.precision


def test_a_start_in_the_middle_of_a_block_gives_the_same_images(generator: Generator) -> None:
    whole = generator.generate(150, seed=4)
    for start in (1, 63, 64, 100):
        parts = list(generator.batches(150, choice=TRAINING, seed=4, start=start))
        assert parts[0].first == start
        assert np.array_equal(np.concatenate([p.images for p in parts]), whole.images[start:])
        assert np.array_equal(np.concatenate([p.labels for p in parts]), whole.labels[start:])


def test_images_of_one_set_differ_and_another_seed_gives_others(generator: Generator) -> None:
    first, other = generator.generate(20, seed=1), generator.generate(20, seed=2)
    assert len({image.tobytes() for image in first.images}) == 20
    assert not np.array_equal(first.images, other.images)


def test_the_block_size_changes_no_image_by_more_than_one_grey_level(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = generator.generate(40, seed=3)
    monkeypatch.setattr(sampling, "BLOCK_PIXELS", 7 * 16 * 16)
    after = generator.generate(40, seed=3)
    assert np.array_equal(before.labels, after.labels)
    assert np.abs(before.images.astype(int) - after.images).max() <= 1


def test_labels_as_in_training_follow_its_joint_distribution(generator: Generator) -> None:
    labels = generator.generate(4000, seed=0).labels
    counts = Counter(map(tuple, labels.astype(int).tolist()))
    assert set(counts) == {(0, 0, 0), (1, 0, 0), (1, 1, 0)}
    for vector, share in [((0, 0, 0), 0.6), ((1, 0, 0), 0.3), ((1, 1, 0), 0.1)]:
        assert counts[vector] / 4000 == pytest.approx(share, abs=0.03)


def test_balanced_labels_give_every_finding_the_same_number_of_images(generator: Generator) -> None:
    labels = generator.generate(300, balanced=True).labels
    assert (labels[0::3, 0] == 1).all() and (labels[1::3, 1] == 1).all() and (labels[2::3, 2] == 1).all()


def test_a_balanced_finding_brings_what_occurs_beside_it(generator: Generator) -> None:
    labels = generator.generate(300, balanced=True).labels
    assert (labels[1::3, 0] == 1).all(), "in training Cardiomegaly never stands without Effusion"
    assert (labels[2::3] == [0, 0, 1]).all(), "a finding too rare to be published stands alone"


def test_given_labels_are_given_to_every_image_and_all_others_are_zero(generator: Generator) -> None:
    labels = generator.generate(5, findings={"Cardiomegaly": 0.5}).labels
    assert (labels == np.float32([0, 0.5, 0])).all()


def test_the_same_pseudo_patient_can_be_drawn_with_another_label(generator: Generator) -> None:
    healthy, ill = generator.generate(8, findings={}), generator.generate(8, findings={"Effusion": 1})
    drawn = generator.generate(8)
    healthy_rows = (drawn.labels == 0).all(axis=1)
    assert healthy_rows.any()
    assert np.array_equal(drawn.images[healthy_rows], healthy.images[healthy_rows])
    assert not np.array_equal(healthy.images, ill.images)


def test_an_unknown_finding_gets_the_nearest_name(generator: Generator) -> None:
    with pytest.raises(FindingUnknown, match="'effusions' is not one of the generator's; the nearest is 'Effusion'"):
        generator.generate(1, findings={"effusions": 1})


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_a_label_outside_zero_to_one_is_refused(generator: Generator, value: float) -> None:
    with pytest.raises(SettingRefused, match="must be from 0"):
        generator.generate(1, findings={"Effusion": value})


def test_given_and_balanced_exclude_each_other(generator: Generator) -> None:
    with pytest.raises(SettingRefused, match="either given or balanced"):
        generator.generate(1, findings={"Effusion": 1}, balanced=True)


@pytest.mark.parametrize("n", [0, -3])
def test_a_set_has_one_image_at_least(generator: Generator, tmp_path: Path, n: int) -> None:
    with pytest.raises(SettingRefused, match=f"n is {n}"):
        write_set([generator], tmp_path / "set", n, choice=TRAINING, seed=0)
    assert not (tmp_path / "set").exists()


def test_a_torch_dataset_gives_images_from_zero_to_one_and_labels(generator: Generator) -> None:
    images = generator.generate(3)
    image, label = images.as_torch_dataset()[1]
    assert image.shape == (1, 16, 16) and image.dtype == torch.float32
    torch.testing.assert_close(image[0] * 255, torch.from_numpy(images.images[1]).float())
    assert torch.equal(label, torch.from_numpy(images.labels[1]))


@pytest.mark.parametrize("format", ["png", "npz", "dicom"])
def test_a_written_set_holds_the_generated_images(generator: Generator, tmp_path: Path, format) -> None:
    assert write_set([generator], tmp_path / "set", 10, choice=TRAINING, seed=5, format=format) == 10
    expected, written = generator.generate(10, seed=5), SyntheticSet.open(tmp_path / "set")
    assert written.findings == generator.findings
    assert np.array_equal(written.labels, expected.labels)
    assert all(np.array_equal(written.image(i), expected.images[i]) for i in range(10))
    assert written.provenance["generators"][0]["digest"] == generator.digest


def test_a_stopped_set_continues_and_a_finished_one_is_left_alone(generator: Generator, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    class Interrupted(Generator):
        def batches(self, stop, **options):
            for batch in super().batches(stop, **options):
                yield batch
                raise Stop

    stopping = Interrupted(generator.network, generator.record, generator.findings_record, generator.device)
    with pytest.raises(Stop):
        write_set([stopping], tmp_path / "set", 150, choice=TRAINING, seed=5)
    drawn = write_set([generator], tmp_path / "set", 150, choice=TRAINING, seed=5)
    assert 0 < drawn < 150
    write_set([generator], tmp_path / "whole", 150, choice=TRAINING, seed=5)
    for path in sorted((tmp_path / "whole").rglob("*")):
        if path.is_file():
            assert (tmp_path / "set" / path.relative_to(tmp_path / "whole")).read_bytes() == path.read_bytes(), path
    assert write_set([generator], tmp_path / "set", 150, choice=TRAINING, seed=5) == 0


def test_another_request_in_the_same_folder_is_refused(generator: Generator, tmp_path: Path) -> None:
    write_set([generator], tmp_path / "set", 4, choice=TRAINING, seed=5)
    for choice, seed, said in [(TRAINING, 6, "seed"), (LabelChoice(balanced=True), 5, "label_choice")]:
        with pytest.raises(PathInUse, match=said):
            write_set([generator], tmp_path / "set", 4, choice=choice, seed=seed)


def test_several_generators_share_a_set_equally_and_provenance_names_each(tmp_path: Path) -> None:
    first = Generator.load(save(tmp_path / "a", seed=1), device="cpu")
    second = Generator.load(save(tmp_path / "b", seed=2), device="cpu")
    write_set([first, second], tmp_path / "set", 9, choice=TRAINING, seed=0)
    pooled = SyntheticSet.open(tmp_path / "set")
    assert [g["digest"] for g in pooled.provenance["generators"]] == [first.digest, second.digest]
    assert np.array_equal(pooled.image(0), first.generate(9).images[0])
    assert np.array_equal(pooled.image(8), second.generate(9).images[8])


def test_generators_with_other_findings_are_not_pooled(tmp_path: Path, generator: Generator) -> None:
    from dataclasses import replace

    renamed = generator.findings_record.model_copy(update={"findings": ("Effusion", "Cardiomegaly", "Mass")})
    with pytest.raises(SettingRefused, match="differ in findings"):
        write_set([generator, replace(generator, findings_record=renamed)], tmp_path / "s", 4, choice=TRAINING, seed=0)


def test_without_published_combinations_training_labels_are_no_finding(tmp_path: Path) -> None:
    bare = Generator.load(save(tmp_path / "bare", combinations=()), device="cpu")
    assert (bare.generate(5).labels == 0).all()


def test_grey_levels_are_rounded_and_clipped() -> None:
    values = torch.tensor([-5.0, -1.0, 0.0, 0.999, 1.0, 5.0])
    assert to_bytes(values).tolist() == [0, 0, 128, 255, 255, 255]
