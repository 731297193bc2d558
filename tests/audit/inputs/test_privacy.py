"""What the privacy tests are given: what the same film is, measured on the store's own films."""

import numpy as np
import pytest

from radcommons.audit.inputs import material
from radcommons.audit.inputs.privacy import MOST_BY_CHANCE, chance_of_copy, real_neighbours, same_patient
from radcommons.audit.neighbours.nearest import Films, RealImages
from radcommons.audit.neighbours.reidentification import Reidentification, local_contrast, unit
from radcommons.audit.planted import slightly_changed
from radcommons.audit.settings import AuditSettings
from radcommons.data.store import Store

SPACE = "re-identification features"


def fitted(store: Store, side: int) -> Reidentification:
    images = np.asarray(store.images(side))
    changed = slightly_changed(images, np.random.default_rng(0))
    return Reidentification.fit(local_contrast(images), local_contrast(changed))


def as_films(images: np.ndarray, features: Reidentification, patients: np.ndarray) -> Films:
    labels = np.zeros((len(images), 1), np.float32)
    return Films(unit(images.reshape(len(images), -1).astype(np.float32)), features(images), images, labels, patients)


def test_local_contrast_does_not_see_brightness_and_contrast() -> None:
    image = np.random.default_rng(0).integers(60, 180, (1, 32, 32), np.uint8)
    brighter = (image.astype(float) * 0.7 + 60).round().astype(np.uint8)
    assert (local_contrast(image) * local_contrast(brighter)).sum() > 0.99
    assert (local_contrast(image) * local_contrast(image[:, ::-1])).sum() < 0.2


def test_re_identification_features_know_every_changed_film_again(phantom_store: Store) -> None:
    images = np.asarray(phantom_store.images(32))
    identity = fitted(phantom_store, 32)
    changed = slightly_changed(images, np.random.default_rng(5))  # other changes than those it was fitted to
    similar = identity(changed) @ identity(images).T
    assert (similar.argmax(axis=1) == np.arange(len(images))).all()
    plain = local_contrast(changed) @ local_contrast(images).T

    def margin(similarity: np.ndarray) -> float:
        """How much farther, as a ratio of distances, the nearest other film is than the film itself."""
        others = similarity - 2 * np.eye(len(similarity))
        return float(np.median((1 - others.max(axis=1)) / (1 - similarity.diagonal())))

    assert margin(similar) > 2 * margin(plain)


def test_the_chance_of_a_copy_is_the_rate_of_an_exponential_tail_and_some_shared_films_do_not_move_it() -> None:
    rng = np.random.default_rng(1)
    nearness = 1 + 0.3 * rng.exponential(size=20_000)
    threshold = 1 - np.exp(-(1 + 0.3 * np.log(1e4)))  # one in 10,000 lies above
    assert chance_of_copy(1 - np.exp(-nearness), threshold) == pytest.approx(1e-4, rel=0.5)
    nearness[:600] = 9.0  # 3% are copies of films of other patients
    assert chance_of_copy(1 - np.exp(-nearness), threshold) < 1e-3
    nearness[:3000] = 9.0  # 15%
    assert chance_of_copy(1 - np.exp(-nearness), threshold) < 0.02, "of 3,000 copies it explains 400"
    nearness[:8000] = 9.0
    assert chance_of_copy(1 - np.exp(-nearness), threshold) > MOST_BY_CHANCE, "then no count means anything"


def test_a_threshold_that_the_films_themselves_pass_is_no_sign_of_a_copy() -> None:
    different = np.random.default_rng(2).uniform(0.5, 0.9, 300)
    assert chance_of_copy(different, 0.6) > 0.2
    assert chance_of_copy(different, 0.9999) < 1e-3


def test_pairs_of_one_patient_are_its_films_in_turn(phantom_store: Store) -> None:
    images = np.asarray(phantom_store.images(16)[:5])
    films = as_films(images, fitted(phantom_store, 16), np.array([3, 1, 3, 1, 2]))
    expected = [
        (films.reidentification[1] * films.reidentification[3]).sum(),
        (films.reidentification[0] * films.reidentification[2]).sum(),
    ]
    assert same_patient(films, "re-identification features") == pytest.approx(expected)
    assert np.isnan(same_patient(films.take(np.array([0, 1, 4])), "SSIM")).all()


def test_the_nearest_films_of_a_permutation_are_of_other_patients(phantom_store: Store) -> None:
    identity = fitted(phantom_store, 16)
    images = np.asarray(phantom_store.images(16)[:24])
    films = as_films(images, identity, np.repeat(np.arange(12), 2))
    real = RealImages(films.take(np.arange(16)), films.take(np.arange(16, 24)), films.take(np.arange(0)))
    neighbours = real_neighbours(real, films.take(np.arange(16)), np.arange(16), "re-identification features")
    permutation = neighbours.permutation
    near = permutation.similarity > -1
    assert near.sum(axis=1).min() == 22, "all but the film itself and the other one of its patient"
    assert not (permutation.patients[permutation.rows] == permutation.patients[:, None])[near].any()
    assert permutation.is_member.tolist() == [True] * 8 + [False] * 4


@pytest.mark.parametrize("shared", [0.0, 0.3, 0.6])
def test_however_many_held_out_films_are_copies_the_chance_of_one_stays_what_it_is(hospital: Store, shared: float
                                                                                  ) -> None:  # fmt: skip
    identity, images = fitted(hospital, 32), hospital.images(32)
    patients = np.unique(hospital.manifest["patient"].to_numpy(), return_inverse=True)[1]
    rows = hospital.rows("train")
    rng = np.random.default_rng(0)
    train = as_films(np.asarray(images[rows]), identity, patients[rows])
    copies = as_films(slightly_changed(train.small, rng), identity, np.arange(len(train)))
    others = hospital.rows("test")
    held_out = np.array(images[others])
    count = round(shared * len(others))
    held_out[:count] = slightly_changed(train.small[:count], rng)
    real = RealImages(train, as_films(held_out, identity, patients[others]), train.take(np.arange(0)))
    neighbours = real_neighbours(real, copies, np.arange(len(train)), "re-identification features")
    above = int((neighbours.held_to_train.best > neighbours.copy_similarity).sum())
    assert neighbours.tells_copies and len(others) * neighbours.chance_of_copy < 0.5
    assert above == 0 if not shared else 0.8 * count < above <= count


@pytest.mark.real
def test_on_real_films_a_copy_is_told_from_every_other_patient(shared_data, tmp_path) -> None:  # type: ignore[no-untyped-def]
    from radcommons.cli import run

    arguments = [
        "data",
        "import",
        "nih",
        str(shared_data / "nih"),
        "--out",
        str(tmp_path / "nih"),
        "--resolution",
        "64",
    ]
    assert run([*arguments, "--workers", "1"]) == 0
    store = Store.open(tmp_path / "nih")
    identity = fitted(store, 64)
    images, patients = store.images(64), np.unique(store.manifest["patient"].to_numpy(), return_inverse=True)[1]
    parts = [
        as_films(np.asarray(images[rows]), identity, patients[rows]) for rows in map(store.rows, ("train", "test"))
    ]
    copied = np.arange(0, len(parts[0]), 4)
    changed = slightly_changed(parts[0].small[copied], np.random.default_rng(7))
    copies = as_films(changed, identity, np.arange(len(changed)))
    real = RealImages(*parts, parts[0].take(np.arange(0)))
    neighbours = real_neighbours(real, copies, copied, SPACE)
    assert neighbours.held_to_train.best.max() < neighbours.copy_similarity
    assert neighbours.chance_of_copy < 1e-5, "fewer than one false alarm in 100,000 images"
    assert neighbours.same_patient_seen < 0.05, "another film of a patient is not a copy"


def test_re_identification_features_do_not_know_which_films_were_in_training(phantom_store: Store) -> None:
    """Fitted to one group more than to the other, it would draw one nearer: a false alarm, seen on real films."""
    images = phantom_store.images(32)
    some, others = np.arange(0, 40), np.arange(40, 55)
    settings = AuditSettings()
    one, other = (
        material._fitted(images, {"train": a, "test": b, "val": np.arange(0)}, 32, settings)
        for a, b in ((some, others), (others, some))
    )
    assert np.array_equal(one.mean, other.mean) and np.array_equal(one.directions, other.directions)


def test_extractor_features_are_compared_without_what_all_films_share(gathered: material.Material) -> None:
    both = np.concatenate([gathered.features[part].values for part in ("train", "test")])
    assert np.allclose(gathered.centre, both.mean(axis=0)), "of both groups: it must not depend on who was in training"
    test = gathered.films["test"]
    again = gathered.as_films(np.asarray(gathered.images[gathered.rows["test"]]), name="the same")
    assert np.allclose(test.features, again.features, atol=1e-5)
    plain = unit(gathered.features["test"].values)
    assert (plain @ plain.T).mean() > 0.5 > 0.2 > (test.features @ test.features.T).mean()
