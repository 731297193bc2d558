"""`train_classifier` with settings.adversarial: what the attack does to training, and what training then withstands."""

from pathlib import Path

import numpy as np
import pytest
import torch

from radcommons.classify.attacked import films_to_attack
from radcommons.classify.pgd import AttackSettings
from radcommons.classify.robustness import compare
from radcommons.classify.settings import ClassifierSettings
from radcommons.classify.training import train_classifier
from radcommons.classify.training_data import Examples, Mixture, Split, of_images
from radcommons.models.classifier_files import Classifier

SIDE = 32


def marked(count: int, *, seed: int) -> Examples:
    """Films whose brightness says the finding loudly but wrongly in one of ten; stripes say it faintly, never wrongly.

    A network that reads the stripes alone is right on every film, until each pixel moves by their height.
    """
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % 2).astype(np.float32)
    said = np.where(rng.random(count) < 0.9, labels, 1 - labels)
    stripes = np.where(np.arange(SIDE) % 2, 1.0, -1.0)[None, None, :]
    films = rng.normal(100, 3, (count, SIDE, SIDE)) + 60 * said[:, None, None]
    films += 4 * stripes * (2 * labels[:, None, None] - 1)
    images = films.clip(0, 255).round().astype(np.uint8)
    return of_images(f"marked {seed}", images, labels[:, None], ["Effusion"], f"marked/{seed}")


@pytest.fixture(scope="module")
def split() -> Split:
    parts = (marked(240, seed=1), marked(32, seed=2))
    return Split(*(Mixture([part], ["Effusion"], side=SIDE) for part in parts))


def settings(**changes: object) -> ClassifierSettings:
    values: dict[str, object] = {
        "network": "densenet-small",
        "side": SIDE,
        "optimiser": "adam",
        "learning_rate": 0.003,
        "batch_size": 16,
        "epochs": 1,
        "epoch_images": 32,
    }
    return ClassifierSettings.model_validate({**values, **changes})


def weights(run: Path) -> dict[str, torch.Tensor]:
    return Classifier.load(run, device="cpu").network.state_dict()


def same(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return all(torch.equal(first[name], second[name]) for name in first)


def test_an_attack_of_size_0_trains_as_no_attack_does_and_a_larger_one_does_not(split: Split, tmp_path: Path) -> None:
    for name, adversarial in (("plain", "off"), ("zero", {"epsilon": 0}), ("four", {"epsilon": 4, "steps": 1})):
        train_classifier(split, settings(adversarial=adversarial), tmp_path / name)
    assert same(tmp_path / "plain", tmp_path / "zero")
    assert not same(tmp_path / "plain", tmp_path / "four")


def test_a_stopped_adversarial_training_ends_where_an_unbroken_one_does(split: Split, tmp_path: Path) -> None:
    asked = settings(epochs=2, adversarial={"epsilon": 4, "steps": 1})
    train_classifier(split, asked, tmp_path / "unbroken")
    steps = iter([False, False, True])  # stopped in the second epoch
    assert not train_classifier(split, asked, tmp_path / "broken", should_stop=lambda: next(steps)).finished
    assert train_classifier(split, asked, tmp_path / "broken").finished
    assert same(tmp_path / "unbroken", tmp_path / "broken")


def test_the_attack_is_saved_with_the_run(split: Split, tmp_path: Path) -> None:
    asked = settings(adversarial={"norm": "l2", "epsilon": 3, "steps": 1})
    train_classifier(split, asked, tmp_path / "run")
    assert ClassifierSettings.load(tmp_path / "run" / "config.toml") == asked


@pytest.mark.slow
def test_a_densenet_keeps_more_of_its_auc_where_it_was_trained_under_attack(split: Split, tmp_path: Path) -> None:
    """0 for the plain one and 0.85 for the other; after five epochs 0.58 to 0.96, which depends on the processor."""
    held_out = marked(40, seed=3)
    films = films_to_attack(held_out, side=held_out.images.shape[-1])
    auc = {}
    for name, adversarial in (("plain", "off"), ("robust", {"epsilon": 8, "steps": 2})):
        train_classifier(split, settings(epochs=8, epoch_images=None, adversarial=adversarial), tmp_path / name)
        network = Classifier.load(tmp_path / name, device="cpu").network
        curve = compare({name: network}, films, [], AttackSettings(epsilon=8, steps=6), bootstrap_samples=100).curves[
            name
        ]
        auc[name] = [point.mean_auc.value for point in curve.points]
    assert auc["plain"][0] > 0.95
    assert auc["plain"][1] < 0.2 < 0.6 < auc["robust"][1]
