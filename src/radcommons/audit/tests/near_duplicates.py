"""Near-duplicates: synthetic images that are the same film as a training film, slightly changed."""

import numpy as np
from scipy.stats import binom, poisson

from radcommons.audit.inputs.privacy import PrivacyInputs, SyntheticNeighbours
from radcommons.policy.privacy import HARDLY
from radcommons.records import Estimate, PrivacyTest, Space

SAME_PATIENT = "share of pairs of different films of one patient above it"
POWER = 0.8


def tests(
    space: Space, synthetic: SyntheticNeighbours, inputs: PrivacyInputs, rng: np.random.Generator
) -> list[PrivacyTest]:
    """Count synthetic images above the similarity from which two images are the same film, beside what chance gives."""
    real, question = inputs.neighbours[space], "Is any synthetic image the same film as a training film?"
    if not real.tells_copies:
        why = f"{space} cannot tell changed copies of a film from films of other patients"
        return [PrivacyTest(kind="near-duplicates", space=space, access="samples", question=question, skipped=why)]
    what = "SSIM" if space == "SSIM" else f"a cosine of {space}"
    count, n = int((synthetic.to_train.best > real.copy_similarity).sum()), len(synthetic.images)
    expected = n * real.chance_of_copy
    return [
        PrivacyTest(
            kind="near-duplicates",
            space=space,
            access="samples",
            question=question,
            measure=f"images with {what} above {real.copy_similarity:.3f}",
            result=Estimate(value=float(count)),
            expected=expected,
            p_value=float(poisson.sf(count - 1, expected)),
            detection=f"{real.copies_seen:.0%} of slightly changed copies of training films would be counted",
            detection_limit=detectable_share(n, expected, real.copies_seen, inputs.significance),
            counts={"synthetic images": n},
            details={} if np.isnan(real.same_patient_seen) else {SAME_PATIENT: real.same_patient_seen},
        )
    ]


def detectable_share(images: int, expected: float, copies_seen: float, significance: float) -> float | None:
    """Smallest share of copies among `images` that their count would show in 4 cases of 5; None = not even all of them.

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
