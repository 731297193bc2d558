"""Any mix of stores and sets is one numbered list, held out by patient, about findings that all of them label."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from radcommons.classify.training_data import Examples, Mixture, Split, chosen_findings, of_store, open_split
from radcommons.data.ingest import ingest_phantoms
from radcommons.data.store import Store
from radcommons.errors import FindingUnknown, ImageRefused, PatientsSeen, SetRefused, StoreRefused, TooFewImages

Films = Callable[..., Examples]
Pictures = Callable[..., Path]
BOTH = np.tile(np.float32([1, 0]), 20)


def opened(sources: Sequence[Path], *, validation: Path | None = None, findings: Sequence[str] | None = None) -> Split:
    return open_split(sources, validation=validation, findings=findings, side=32, seed=0)


def test_films_come_from_the_training_part_and_are_held_out_by_the_validation_part(clinic: Store) -> None:
    split = opened([clinic.path])
    assert split.train.patients.tolist() == clinic.manifest["patient"].to_numpy()[clinic.rows("train")].tolist()
    assert not set(split.train.patients) & set(split.validation.patients)
    assert not (set(split.train.patients) | set(split.validation.patients)) & set(
        clinic.manifest["patient"].to_numpy()[clinic.rows("test")]
    )
    assert split.train.sources == "clinic (train)"


def test_images_are_the_stores_own_at_a_stored_side_and_resized_between(clinic: Store) -> None:
    films = of_store(clinic, "val", side=16)
    assert films.images.shape[1:] == (16, 16)
    mixture = Mixture([films], clinic.findings, side=16)
    picked = np.array([3, 0, 3])
    expected = np.asarray(clinic.images(16)[clinic.rows("val")[picked]], np.float32)
    assert np.array_equal(mixture.read(picked)[:, 0].numpy(), expected)
    between = of_store(clinic, "val", side=24)
    assert between.images.shape[1:] == (32, 32), "the smallest that is not below"
    resized = Mixture([between], clinic.findings, side=24).read(np.arange(4))
    assert resized.shape == (4, 1, 24, 24)
    whole = torch.from_numpy(np.asarray(between.images[between.rows[:4]], np.float32))
    torch.testing.assert_close(resized.mean((1, 2, 3)), whole.mean((1, 2)), atol=1.0, rtol=0)
    assert of_store(clinic, "val", side=64).images.shape[1:] == (32, 32), "or the largest there is"


def test_a_mixture_numbers_its_sources_one_after_the_other(films: Films) -> None:
    first, second = films(5, seed=1), films(4, seed=2, side=64)
    mixture = Mixture([first, second], first.findings[::-1], side=32)
    assert len(mixture) == 9 and mixture.sources == "squares 1 + squares 2"
    assert np.array_equal(mixture.labels, np.concatenate([first.labels, second.labels])[:, ::-1])
    read = mixture.read(np.array([8, 0, 4, 5]))
    assert np.array_equal(read[[1, 2], 0].numpy(), first.images[[0, 4]].astype(np.float32))
    assert float(read[0].mean()) == pytest.approx(float(second.images[3].mean()), abs=1.0)
    assert float(read[3].mean()) == pytest.approx(float(second.images[0].mean()), abs=1.0)


def test_the_digest_tells_other_labels_other_rows_and_other_images_apart(films: Films) -> None:
    def digest(part: Examples) -> str:
        return Mixture([part], part.findings, side=32).digest

    part = films(10, seed=1)
    relabelled = films(10, seed=1)
    relabelled.labels[4, 0] = 1 - relabelled.labels[4, 0]
    others = [relabelled, part.take(np.arange(9)), part.take(np.arange(10)[::-1]), films(10, seed=2)]
    assert digest(part) == digest(films(10, seed=1))
    assert len({digest(part), *map(digest, others)}) == 5


def test_a_set_beside_a_store_is_trained_on_and_never_validated_on(
    clinic: Store, pictures: Pictures, tmp_path: Path
) -> None:
    split = opened([clinic.path, pictures(tmp_path / "pooled", BOTH)])
    assert split.train.findings == ("Effusion",), "the finding that both label"
    assert len(split.train) == len(clinic.rows("train")) + 40
    assert len(split.validation) == len(clinic.rows("val")) and split.validation.sources == "clinic (val)"


def test_sets_alone_hold_out_every_tenth_image_of_each(pictures: Pictures, tmp_path: Path) -> None:
    sets = [pictures(tmp_path / name, np.tile(np.float32([1, 0]), 50), seed=s) for s, name in enumerate("ab")]
    split = opened(sets)
    assert (len(split.train), len(split.validation)) == (180, 20)
    assert not set(split.train.patients) & set(split.validation.patients)
    assert split.validation.patients.tolist() == opened(sets).validation.patients.tolist()


def test_validation_may_come_from_a_store_that_is_not_trained_on(
    clinic: Store, phantom_store: Store, pictures: Pictures, tmp_path: Path
) -> None:
    for source in (phantom_store.path, pictures(tmp_path / "pooled", BOTH)):
        split = opened([source], validation=clinic.path, findings=["Effusion"])
        assert split.validation.sources == "clinic (val)" and "clinic" not in split.train.sources
    with pytest.raises(SetRefused, match="pooled is a synthetic set; validate on a store"):
        opened([clinic.path], validation=tmp_path / "pooled")


def test_large_pictures_are_averaged_down_to_what_a_store_would_hold(pictures: Pictures, tmp_path: Path) -> None:
    labels = np.tile(np.float32([1, 0]), 30)
    large = open_split([pictures(tmp_path / "p", labels, side=200)], validation=None, findings=None, side=48, seed=0)
    assert large.train.parts[0].images.shape[1:] == (64, 64)
    assert large.train.read(np.array([0])).shape == (1, 1, 48, 48)


def test_a_finding_that_a_source_lacks_is_refused_with_the_common_ones(
    clinic: Store, pictures: Pictures, tmp_path: Path
) -> None:
    pooled = pictures(tmp_path / "pooled", BOTH)
    other = next(f for f in clinic.findings if f != "Effusion")
    with pytest.raises(FindingUnknown, match=f"'{other}' is not labelled in pooled; .*common to all sources are Eff"):
        opened([clinic.path, pooled], findings=["Effusion", other])
    with pytest.raises(FindingUnknown, match="'Effusoin' is not labelled in clinic .*the nearest is 'Effusion'"):
        opened([clinic.path], findings=["Effusoin"])
    hernias = pictures(tmp_path / "hernias", BOTH, finding="Hernia")
    with pytest.raises(FindingUnknown, match="no finding in common .*pooled: Effusion; hernias: Hernia"):
        opened([pooled, hernias])


def test_a_finding_with_one_class_is_left_out_aloud_and_refused_where_it_was_asked_for(
    films: Films, caplog: pytest.LogCaptureFixture
) -> None:
    train, held_out = films(30, seed=1), films(10, seed=2)
    held_out.labels[:, 1] = np.where(held_out.labels[:, 1] == 1, np.nan, 0)
    assert chosen_findings([train], [held_out], None) == ("Effusion",)
    assert "left out, because training or validation has one class only: Nodule" in caplog.text
    held_out.labels[:, 0] = 1
    with pytest.raises(TooFewImages, match="none of Effusion, Nodule has both positive and negative images"):
        chosen_findings([train], [held_out], None)


def test_one_class_of_a_finding_asked_for_says_how_many_there_are(pictures: Pictures, tmp_path: Path) -> None:
    with pytest.raises(TooFewImages, match="'Effusion' has 36 positive and 0 negative images in training; it needs bo"):
        opened([pictures(tmp_path / "ones", np.ones(40, np.float32))], findings=["Effusion"])


def test_what_is_neither_store_nor_set_is_refused(tmp_path: Path, pictures: Pictures) -> None:
    with pytest.raises(StoreRefused, match="is not a store"):
        opened([tmp_path])
    damaged = pictures(tmp_path / "pooled", BOTH)
    (damaged / "images" / "3.png").unlink()
    with pytest.raises(ImageRefused, match="labels.csv line 5: the image is missing"):
        opened([damaged])


def test_a_validation_patient_who_is_in_training_elsewhere_is_refused(clinic: Store, tmp_path: Path) -> None:
    ingest_phantoms(tmp_path / "again", patients=60, site="A", resolution=32, seed=9, split_salt="another way")
    ingest_phantoms(tmp_path / "first", patients=60, site="A", resolution=32, seed=9)
    with pytest.raises(PatientsSeen, match=r"\d+ validation patients of .*first are in the training part of .*again"):
        open_split([tmp_path / "again"], validation=tmp_path / "first", findings=None, side=32, seed=0)
    split = open_split([tmp_path / "first", clinic.path], validation=None, findings=["Effusion"], side=32, seed=0)
    assert len(split.patients) == 4, "training and validation of two stores"
    listed = [len(record.hashes) for record in split.patients]
    assert listed[0] == len(set(split.train.parts[0].patients))
