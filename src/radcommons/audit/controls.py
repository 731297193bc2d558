"""Cases whose answer is known, put through the same tests: controls, and ever fewer copies among the images."""

from collections.abc import Iterable
from dataclasses import replace

import cv2
import numpy as np

from radcommons.audit.inputs.material import COPIED, Material
from radcommons.audit.inputs.privacy import PrivacyInputs, real_neighbours, synthetic_neighbours
from radcommons.audit.neighbours.nearest import SPACES, RealImages
from radcommons.audit.planted import OVERFITTED_FILMS, overfitted_generator
from radcommons.audit.tests import sample_tests, train_test_duplicates
from radcommons.audit.tests.membership_white_box import inversion_errors, inversion_result
from radcommons.models.generator import Generator
from radcommons.policy.privacy import is_positive
from radcommons.policy.settings import Policy
from radcommons.records import Control, PrivacyTest
from radcommons.seeds import numpy_stream

PLANTED_SHARE = 0.05  # of the held-out films
OVERFITTED_IMAGES = 500
INVERTED_STEPS = 60
SHARES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # of copies among the images, for the detection limit


def run_controls(inputs: PrivacyInputs, material: Material, policy: Policy) -> list[Control]:
    """Put every control through the tests; the audit must catch the positive ones and pass the negative one.

    Duplicates are planted if the policy judges train-test duplicates; the negative control needs a validation part.
    """
    controls = [copies(inputs, policy), overfitted(inputs, material, policy)]
    if policy.train_test_duplicates is not None:
        controls.append(duplicates(inputs, policy))
    if len(inputs.real.reference) >= material.settings.fewest:
        controls.append(unseen(inputs, policy))
    return controls


def copies(inputs: PrivacyInputs, policy: Policy) -> Control:
    """Positive control: images that are training films, slightly changed."""
    description = "images that are training films, slightly changed"
    return _control("positive control: copies", description, sample_tests(inputs, inputs.copies), policy)


def overfitted(inputs: PrivacyInputs, material: Material, policy: Policy) -> Control:
    """Positive control: a generator that has memorised 60 training films, audited as if these were all its training."""
    settings = material.settings
    rng = numpy_stream(settings.seed, "overfitted films")
    count = min(OVERFITTED_FILMS, len(inputs.real.train))
    chosen = np.sort(rng.choice(len(inputs.real.train), count, replace=False))
    memorised = np.asarray(material.images[material.rows["train"][chosen]])
    fitted = overfitted_generator(memorised, seed=settings.seed, track=material.track)
    drawn = fitted.draw(min(settings.images, OVERFITTED_IMAGES), seed=settings.seed)
    side = material.subject.resolution
    drawn = np.stack([cv2.resize(i, (side, side), interpolation=cv2.INTER_LINEAR) for i in drawn])
    members = inputs.real.train.take(chosen)
    real = RealImages(members, inputs.real.held_out, inputs.real.reference)
    kept = np.isin(material.copied, chosen)
    changed = material.films[COPIED].take(np.flatnonzero(kept))
    origins = np.searchsorted(chosen, material.copied[kept])
    if not len(changed):
        changed, origins = members, np.arange(len(members))
    neighbours = {space: real_neighbours(real, changed, origins, space) for space in SPACES}
    here = replace(inputs, real=real, neighbours=neighbours, cells=np.zeros(count, np.int64))
    films = material.as_films(drawn, name="the overfitted control")
    tests = [
        *sample_tests(here, synthetic_neighbours(films, real)),
        _inverted(here, material, fitted.generator, chosen),
    ]
    description = f"a generator that has memorised {count} training films"
    return _control("positive control: overfitted generator", description, tests, policy)


def _inverted(inputs: PrivacyInputs, material: Material, generator: Generator, chosen: np.ndarray) -> PrivacyTest:
    """Latent inversion of the overfitted generator: its films, and as many held-out ones."""
    settings = material.settings
    rng = numpy_stream(settings.seed, "overfitted inversion")
    count = len(inputs.real.held_out)
    others = np.sort(rng.choice(count, min(len(chosen), count), replace=False))
    images = material.store.images(generator.resolution)

    def errors(rows: np.ndarray) -> np.ndarray:
        films, nothing = np.asarray(images[rows]), np.zeros((len(rows), 0), np.float32)
        found = inversion_errors(generator, films, nothing, steps=INVERTED_STEPS, seed=settings.seed)
        return np.concatenate(list(found))

    inside, outside = errors(material.rows["train"][chosen]), errors(material.rows["test"][others])
    return inversion_result(inside, outside, inputs.real.train, inputs.real.held_out.take(others), inputs)


def duplicates(inputs: PrivacyInputs, policy: Policy, *, share: float = PLANTED_SHARE) -> Control:
    """Positive control: a store in which films of training patients are also held out, slightly changed.

    `share` of the held-out films, and as many more as the policy allows.
    """
    held_out, copied = len(inputs.real.held_out), len(inputs.copies["SSIM"].images)
    count = min(max(3, round(share * held_out)) + (policy.train_test_duplicates or 0), held_out, copied)
    chosen = numpy_stream(inputs.settings.seed, "planted").choice(copied, count, replace=False)
    neighbours = {
        space: replace(
            real,
            held_to_train=real.held_to_train.take(np.arange(held_out - count)).then(
                inputs.copies[space].to_train.take(chosen).first(1)
            ),
        )
        for space, real in inputs.neighbours.items()
    }
    tests = train_test_duplicates.tests(replace(inputs, neighbours=neighbours))
    description = f"{count} films of training patients also held out, under other patients"
    return _control("positive control: train-test duplicates", description, tests, policy)


def unseen(inputs: PrivacyInputs, policy: Policy) -> Control:
    """Negative control: real films of the validation patients, as a perfect generator would draw them."""
    images = inputs.real.reference
    here = replace(
        inputs,
        real=RealImages(inputs.real.train, inputs.real.held_out, images.take(np.arange(0))),
        neighbours={
            space: replace(real, reference_to_train=None, train_to_reference=None, held_to_reference=None)
            for space, real in inputs.neighbours.items()
        },
    )
    tests = sample_tests(here, synthetic_neighbours(images, here.real))
    description = "films of validation patients in place of synthetic images"
    return _control("negative control: unseen films", description, tests, policy, must_be_caught=False)


def _control(
    name: str, description: str, tests: Iterable[PrivacyTest], policy: Policy, *, must_be_caught: bool = True
) -> Control:
    caught_by = tuple(test.name for test in tests if is_positive(test, policy))
    return Control(name=name, description=description, must_be_caught=must_be_caught, caught_by=caught_by)


def detection_limit(inputs: PrivacyInputs, policy: Policy, material: Material, *, leaks: bool) -> float | None:
    """The smallest share of copies among the synthetic images that some test would have detected; None: not even all.

    Shares are of `SHARES`, as far as so many images have them: of 60 images one is 1.7%, and no smaller share is tried.
    Copies of training films, slightly changed, take the place of some images, and every test on samples is done again.
    Where the images themselves are found to leak (`leaks`), films of the reference part stand in for them.
    """
    base = inputs.synthetic
    if leaks:
        clean = inputs.real.reference if len(inputs.real.reference) else inputs.real.held_out
        base = synthetic_neighbours(clean, inputs.real)
    count = len(base["SSIM"].images)
    rng = numpy_stream(inputs.settings.seed, "power")
    order = rng.permutation(count)
    counts = sorted({max(1, round(share * count)) for share in SHARES})
    with material.track("Detection limit", total=len(counts), unit="shares") as advance:
        for replaced in counts:
            which = rng.integers(len(inputs.copies["SSIM"].images), size=replaced)
            kept = np.sort(order[replaced:])
            mixed = {space: base[space].take(kept).then(inputs.copies[space].take(which)) for space in SPACES}
            advance(1)
            if any(is_positive(test, policy) for test in sample_tests(inputs, mixed)):
                return replaced / count
    return None
