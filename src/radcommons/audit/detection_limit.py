"""How small a leak the audit as a whole would have detected: tests are repeated with copies among the images."""

import numpy as np

from radcommons.audit.inputs.material import Material
from radcommons.audit.inputs.privacy import PrivacyInputs, synthetic_neighbours
from radcommons.audit.neighbours.nearest import SPACES
from radcommons.audit.tests import sample_tests
from radcommons.policy.privacy import is_positive
from radcommons.policy.settings import Policy
from radcommons.seeds import numpy_stream

SHARES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # of copies among the images


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
