"""The privacy tests of an audit, in the order of what an attacker holds: samples, weights, and the critic."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import poisson

from radcommons.audit.inputs.material import COPIED, SYNTHETIC, Material
from radcommons.audit.inputs.privacy import Ground, Real, prepare
from radcommons.audit.neighbours.nearest import SPACES, Films, Space, joined, nearest
from radcommons.audit.policy import finds_leak
from radcommons.audit.settings import AuditSettings, Policy
from radcommons.audit.tests.distance_to_closest_record import Synthetic, look_up, sample_tests
from radcommons.audit.tests.membership import membership_test
from radcommons.audit.tests.membership_white_box import critic_scores, inversion_errors, load_critic
from radcommons.audit.work import Work
from radcommons.data.listing import Part
from radcommons.records import Estimate, PrivacyTest
from radcommons.seeds import numpy_stream

COMPARED: tuple[Part, Part] = ("train", "test")
SHARES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # of copies among the images


@dataclass(frozen=True)
class Scene:
    """Real films and what is known of them, in every space, with everything a control may exchange."""

    real: Real
    grounds: dict[Space, Ground]
    copies: dict[Space, Synthetic]
    synthetic: dict[Space, Synthetic]
    findings: tuple[str, ...]
    settings: AuditSettings
    significance: float  # of one test, as the policy has it

    @classmethod
    def of(cls, material: Material, rules: Policy) -> "Scene":
        """The scene of an audit."""
        real, copies = material.real, material.films[COPIED]
        track = material.track
        return cls(
            real=real,
            grounds={s: prepare(real, copies, material.copied, material.cells, s, track=track) for s in SPACES},
            copies={s: look_up(copies, real, s, track=track) for s in SPACES},
            synthetic={s: look_up(material.films[SYNTHETIC], real, s, track=track) for s in SPACES},
            findings=material.subject.findings,
            settings=material.settings,
            significance=rules.significance,
        )

    def tests(self, synthetic: dict[Space, Synthetic]) -> Iterator[PrivacyTest]:
        """Every test on samples, of these images."""
        for space in SPACES:
            yield from sample_tests(
                synthetic[space],
                self.real,
                self.grounds[space],
                findings=self.findings,
                settings=self.settings,
                significance=self.significance,
            )


def ground_tests(scene: Scene) -> list[PrivacyTest]:
    """Whether the audit stands on firm ground: is the test part held out, and drawn like the training part?"""
    return [shared_films_test(scene), *bias_tests(scene)]


def shared_films_test(scene: Scene) -> PrivacyTest:
    """Held-out or reference films that are the same film as a training film, in the space that tells films best."""
    ground = min(scene.grounds.values(), key=lambda ground: ground.chance_of_copy)
    name, question = "shared films", "Are films of patients in training also held out, under another patient?"
    if not ground.tells_copies:
        why = "changed copies of a film cannot be told from films of other patients here"
        return PrivacyTest(name=name, access="films", question=question, skipped=why)
    parts = [ground.held_to_train, *([ground.reference_to_train] if ground.reference_to_train else [])]
    others = np.concatenate([part.best for part in parts])
    count, expected = int((others > ground.copy_similarity).sum()), len(others) * ground.chance_of_copy
    return PrivacyTest(
        name=name,
        access="films",
        question=question,
        measure=f"held-out and validation films that are copies of a training film, by {ground.space}",
        result=Estimate(value=float(count)),
        expected=expected,
        p_value=float(poisson.sf(count - 1, expected)),
        detection=f"{ground.copies_seen:.0%} of slightly changed copies of training films would be counted",
        counts={"held-out films": len(scene.real.held_out), "validation films": len(scene.real.reference)},
    )


def bias_tests(scene: Scene) -> list[PrivacyTest]:
    """The attack without the generator, and members against members: neither may find anything."""
    ground, real, settings = scene.grounds["identity"], scene.real, scene.settings
    rng = numpy_stream(settings.seed, "bias")
    if ground.train_to_reference is None or ground.held_to_reference is None:
        question = "Do training and held-out films differ even without the generator?"
        return [
            PrivacyTest(name="split bias", access="films", question=question, skipped="there is no validation part")
        ]
    apart = membership_test(
        ground.train_to_reference.best,
        ground.held_to_reference.best,
        real.train.patients,
        real.held_out.patients,
        name="split bias",
        access="films",
        question="Do training and held-out films differ even without the generator?",
        settings=settings,
        significance=scene.significance,
        rng=rng,
        two_sided=True,
    )
    patients = rng.permutation(np.unique(real.train.patients))
    first = np.isin(real.train.patients, patients[: len(patients) // 2])
    nearness = nearest("identity", real.train, scene.synthetic["identity"].films).best
    among = membership_test(
        nearness[first],
        nearness[~first],
        real.train.patients[first],
        real.train.patients[~first],
        name="members against members",
        access="films",
        question="Does the attack find a difference between two random halves of the training patients?",
        groups=("in one half", "in the other half"),
        settings=settings,
        significance=scene.significance,
        rng=rng,
        two_sided=True,
    )
    return [apart, among]


def detectable_share(scene: Scene, rules: Policy, material: Material, *, leaks: bool) -> float | None:
    """The smallest share of copies among the synthetic images that some test would have found; None: not even all.

    Shares are of `SHARES`, as far as so many images have them: of 60 images one is 1.7%, and no smaller share is tried.
    Copies of training films, slightly changed, take the place of some images, and every test on samples is done again.
    Where the images themselves are found to leak (`leaks`), films of the reference part stand in for them.
    """
    base = scene.synthetic
    if leaks:
        clean = scene.real.reference if len(scene.real.reference) else scene.real.held_out
        base = {space: look_up(clean, scene.real, space) for space in SPACES}
    count = len(base["features"].films)
    rng = numpy_stream(scene.settings.seed, "power")
    order = rng.permutation(count)
    counts = sorted({max(1, round(share * count)) for share in SHARES})
    with material.track("Power", total=len(counts), unit="shares") as advance:
        for replaced in counts:
            which = rng.integers(len(scene.copies["features"].films), size=replaced)
            kept = np.sort(order[replaced:])
            mixed = {space: mixture(base[space].take(kept), scene.copies[space].take(which)) for space in SPACES}
            advance(1)
            if any(finds_leak(test, rules) for test in scene.tests(mixed)):
                return replaced / count
    return None


def mixture(a: Synthetic, b: Synthetic) -> Synthetic:
    """Two sets of images as one."""
    return Synthetic(joined([a.films, b.films]), a.to_train.then(b.to_train), a.to_films.then(b.to_films))


def weight_tests(scene: Scene, material: Material, work: Work) -> tuple[list[PrivacyTest], bool | None]:
    """Attacks that need the weights, or the critic; and whether the run says that it was trained on this store."""
    tests = [inversion_test(scene, material, work)]
    question = "Can somebody who has the critic tell whose films were in training?"
    subject = material.subject
    loaded = load_critic(subject.run, subject.generator) if subject.run and subject.generator else None
    if loaded is None:
        why = "a set has no weights" if subject.kind == "set" else "no checkpoint lies beside the generator"
        return [
            *tests,
            PrivacyTest(name="membership by critic", access="critic", question=question, skipped=why),
        ], None
    critic, manifest = loaded
    inside, outside = (
        critic_scores(critic, material.images, material.labels, material.rows[part]) for part in COMPARED
    )
    test = membership_test(
        inside,
        outside,
        scene.real.train.patients,
        scene.real.held_out.patients,
        name="membership by critic",
        access="critic",
        question=question,
        settings=scene.settings,
        significance=scene.significance,
        rng=numpy_stream(scene.settings.seed, "critic"),
    )
    return [*tests, test], manifest == material.store.record.manifest_sha256


def inversion_test(scene: Scene, material: Material, work: Work) -> PrivacyTest:
    """Latent inversion of the subject's generator."""
    generator, settings = material.subject.generator, scene.settings
    question = "Can somebody who has the generator's weights tell whose films were in training?"
    why = (
        "a set has no weights" if generator is None else "inverted_films is 0" if not settings.inverted_films else None
    )
    if generator is None or why is not None:
        return PrivacyTest(name="membership by weights", access="weights", question=question, skipped=why)
    rng = numpy_stream(settings.seed, "inverted films")
    chosen = {
        part: np.sort(rng.choice(len(rows), min(settings.inverted_films, len(rows)), replace=False))
        for part, rows in (("train", material.rows["train"]), ("test", material.rows["test"]))
    }
    store_rows = np.concatenate([material.rows["train"][chosen["train"]], material.rows["test"][chosen["test"]]])
    images, labels = np.asarray(material.images[store_rows]), material.labels[store_rows]

    def blocks(start: int) -> Iterator[tuple[int, np.ndarray]]:
        with material.track("Latent inversion", total=len(images), done=start) as advance:
            first = start
            errors = inversion_errors(
                generator, images[start:], labels[start:], steps=settings.inversion_steps, seed=settings.seed
            )
            for found in errors:
                yield first, found
                first += len(found)
                advance(len(found))

    errors = np.asarray(work.growing("inversion", (len(images),), blocks, dtype=np.float64))
    split = len(chosen["train"])
    return inversion_result(
        errors[:split],
        errors[split:],
        scene.real.train.take(chosen["train"]),
        scene.real.held_out.take(chosen["test"]),
        scene,
        question,
    )


def inversion_result(
    inside: np.ndarray, outside: np.ndarray, members: Films, others: Films, scene: Scene, question: str
) -> PrivacyTest:
    """Errors of the inversion, held against how hard each film is to draw at all: its own contrast in fine detail."""

    def score(errors: np.ndarray, films: Films) -> np.ndarray:
        return -np.log(errors + 1e-6) + np.log(detail(films.small) + 1e-6)

    test = membership_test(
        score(inside, members),
        score(outside, others),
        members.patients,
        others.patients,
        name="membership by weights",
        access="weights",
        question=question,
        settings=scene.settings,
        significance=scene.significance,
        rng=numpy_stream(scene.settings.seed, "inversion"),
    )
    errors = {"mean error in training": float(inside.mean()), "mean error held out": float(outside.mean())}
    return test.model_copy(update={"details": {**test.details, **errors}})


def detail(films: np.ndarray) -> np.ndarray:
    """Variance of what a blur takes away, in the generator's units; uint8 (n, S, S) -> (n,)."""
    grey = films.astype(np.float32) / 127.5
    coarse = grey.reshape(len(grey), grey.shape[1] // 4, 4, grey.shape[2] // 4, 4).mean((2, 4))
    rest: np.ndarray = (grey - coarse.repeat(4, 1).repeat(4, 2)).var((1, 2))
    return rest.astype(np.float64)
