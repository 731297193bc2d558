"""Near-duplicates: synthetic images that are the same film as a training film, slightly changed."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from scipy.stats import binom, poisson

from radcommons.audit.inputs.privacy import PrivacyInputs, RealNeighbours, SyntheticNeighbours
from radcommons.policy.privacy import HARDLY
from radcommons.records import Estimate, PrivacyTest, Space

POWER = 0.8
TEST = partial(
    PrivacyTest,
    kind="near-duplicates",
    access="samples",
    question="Is any synthetic image the same film as a training film?",
)


def tests(
    space: Space, synthetic: SyntheticNeighbours, inputs: PrivacyInputs, rng: np.random.Generator
) -> Iterator[PrivacyTest]:
    """Count synthetic images above the similarity from which two images are the same film, beside what chance gives."""
    real, test = inputs.neighbours[space], partial(TEST, space=space)
    if not real.tells_copies:
        yield test(skipped=f"{space} cannot tell changed copies of a film from films of other patients")
        return
    what = "SSIM" if space == "SSIM" else f"a cosine of {space}"
    seen = real.same_patient_seen
    test = partial(
        test,
        measure=f"images with {what} above {real.copy_similarity:.3f}",
        counts={"synthetic images": len(synthetic.images)},
        details={} if np.isnan(seen) else {"share of pairs of different films of one patient above it": seen},
    )
    yield count_copies(test, synthetic.to_train.best, real, inputs.significance)


def count_copies(
    test: Callable[..., PrivacyTest], similarity: np.ndarray, real: RealNeighbours, significance: float
) -> PrivacyTest:
    """Complete a test: how many images of these similarities to their nearest training film count as copies of it."""
    count, expected = int((similarity > real.copy_similarity).sum()), len(similarity) * real.chance_of_copy
    return test(
        result=Estimate(value=float(count)),
        expected=expected,
        p_value=float(poisson.sf(count - 1, expected)),
        detection=f"{real.copies_seen:.0%} of slightly changed copies of training films would be counted",
        detection_limit=detectable_share(len(similarity), expected, real.copies_seen, significance),
    )


def detectable_share(images: int, expected: float, copies_seen: float, significance: float) -> float | None:
    """Smallest share of copies that their count would show in 4 cases of 5; None: not even copies alone would.

    Args:
        images: how many there are.
        expected: near-duplicates by chance.
        copies_seen: share of copies that are counted.
        significance: of a count where chance gives some.
    """
    counts = np.arange(1, images + 1)
    enough = counts[(poisson.sf(counts - 1, expected) < significance) | (expected < HARDLY)]
    if not len(enough):
        return None
    detected = counts[binom.sf(enough[0] - 1, counts, copies_seen) >= POWER]
    return float(detected[0] / images) if len(detected) else None
