"""Cases whose answer is known, put through the same tests: three planted leaks, and one clean case."""

from collections.abc import Iterable
from dataclasses import replace

import cv2
import numpy as np

from radcommons.audit.inputs.material import COPIED, Material
from radcommons.audit.inputs.privacy import Real, prepare
from radcommons.audit.neighbours.nearest import SPACES
from radcommons.audit.planted import OVERFITTED_FILMS, overfitted_generator
from radcommons.audit.policy import finds_leak, shares_films
from radcommons.audit.settings import Policy
from radcommons.audit.tests.distance_to_closest_record import look_up
from radcommons.audit.tests.membership_white_box import inversion_errors
from radcommons.audit.tests.sanity_checks import Scene, inversion_result, shared_films_test
from radcommons.models.generator import Generator
from radcommons.records import Control, PrivacyTest
from radcommons.seeds import numpy_stream

PLANTED_SHARE = 0.05  # of the held-out films
OVERFITTED_IMAGES = 500
INVERTED_STEPS = 60


def run_controls(scene: Scene, material: Material, rules: Policy) -> list[Control]:
    """Put every control through the tests; the audit must catch the first three and pass the last.

    Duplicates are planted where the policy asks for shared films; the clean case needs films of a validation part.
    """
    controls = [replay(scene, rules), overfitted(scene, material, rules)]
    if rules.shared_films is not None:
        controls.append(planted(scene, rules))
    if len(scene.real.reference) >= material.settings.fewest:
        controls.append(clean(scene, rules))
    return controls


def replay(scene: Scene, rules: Policy) -> Control:
    """A generator that replays training films, slightly changed."""
    return Control(
        name="replay",
        description="images that are training films, slightly changed",
        must_be_caught=True,
        caught_by=_leaks(scene.tests(scene.copies), rules),
    )


def overfitted(scene: Scene, material: Material, rules: Policy) -> Control:
    """A generator that has learned 60 training films by heart, audited as if it had been trained on these alone."""
    settings = material.settings
    rng = numpy_stream(settings.seed, "overfitted films")
    count = min(OVERFITTED_FILMS, len(scene.real.train))
    chosen = np.sort(rng.choice(len(scene.real.train), count, replace=False))
    fitted = overfitted_generator(
        np.asarray(material.images[material.rows["train"][chosen]]), seed=settings.seed, track=material.track
    )
    drawn = fitted.draw(min(settings.images, OVERFITTED_IMAGES), seed=settings.seed)
    side = material.subject.resolution
    drawn = np.stack([cv2.resize(i, (side, side), interpolation=cv2.INTER_LINEAR) for i in drawn])
    members = scene.real.train.take(chosen)
    real = Real(members, scene.real.held_out, scene.real.reference)
    kept = np.isin(material.copied, chosen)
    copies, origins = material.films[COPIED].take(np.flatnonzero(kept)), np.searchsorted(chosen, material.copied[kept])
    if not len(copies):
        copies, origins = members, np.arange(len(members))
    cells = np.zeros(len(members), np.int64)
    grounds = {space: prepare(real, copies, origins, cells, space) for space in SPACES}
    here = replace(scene, real=real, grounds=grounds)
    films = material.as_films(drawn, name="the overfitted control")
    tests = list(here.tests({space: look_up(films, real, space) for space in SPACES}))
    tests.append(_inverted(here, material, fitted.generator, chosen))
    return Control(
        name="overfitted",
        description=f"a generator that has learned {count} training films by heart",
        must_be_caught=True,
        caught_by=_leaks(tests, rules),
    )


def _inverted(scene: Scene, material: Material, generator: Generator, chosen: np.ndarray) -> PrivacyTest:
    """Latent inversion of the overfitted generator: its films, and as many held-out ones."""
    settings = material.settings
    rng = numpy_stream(settings.seed, "overfitted inversion")
    others = np.sort(rng.choice(len(scene.real.held_out), min(len(chosen), len(scene.real.held_out)), replace=False))
    images = material.store.images(generator.resolution)

    def errors(rows: np.ndarray) -> np.ndarray:
        films, nothing = np.asarray(images[rows]), np.zeros((len(rows), 0), np.float32)
        found = inversion_errors(generator, films, nothing, steps=INVERTED_STEPS, seed=settings.seed)
        return np.concatenate(list(found))

    inside, outside = errors(material.rows["train"][chosen]), errors(material.rows["test"][others])
    return inversion_result(inside, outside, scene.real.train, scene.real.held_out.take(others), scene, "")


def planted(scene: Scene, rules: Policy, *, share: float = PLANTED_SHARE) -> Control:
    """A store in which films of training patients also stand, slightly changed, under held-out patients.

    `share` of the held-out films, and as many more as the policy allows.
    """
    held_out, copies = len(scene.real.held_out), len(scene.copies["identity"].films)
    count = min(max(3, round(share * held_out)) + (rules.shared_films or 0), held_out, copies)
    chosen = numpy_stream(scene.settings.seed, "planted").choice(copies, count, replace=False)
    grounds = {
        space: replace(
            ground,
            held_to_train=ground.held_to_train.take(np.arange(held_out - count)).then(
                scene.copies[space].to_train.take(chosen).first(1)
            ),
        )
        for space, ground in scene.grounds.items()
    }
    test = shared_films_test(replace(scene, grounds=grounds))
    return Control(
        name="planted duplicates",
        description=f"{count} films of training patients also held out, under other patients",
        must_be_caught=True,
        caught_by=(test.name,) if shares_films(test, rules) else (),
    )


def clean(scene: Scene, rules: Policy) -> Control:
    """Images that never saw the training films: real films of the validation patients, as a perfect generator's."""
    images = scene.real.reference
    nobody = images.take(np.arange(0))
    here = replace(
        scene,
        real=Real(scene.real.train, scene.real.held_out, nobody),
        grounds={
            space: replace(ground, reference_to_train=None, train_to_reference=None, held_to_reference=None)
            for space, ground in scene.grounds.items()
        },
    )
    return Control(
        name="never saw the films",
        description="films of validation patients in place of synthetic images",
        must_be_caught=False,
        caught_by=_leaks(here.tests({space: look_up(images, here.real, space) for space in SPACES}), rules),
    )


def _leaks(tests: Iterable[PrivacyTest], rules: Policy) -> tuple[str, ...]:
    return tuple(test.name for test in tests if finds_leak(test, rules))
