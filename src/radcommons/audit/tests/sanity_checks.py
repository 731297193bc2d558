"""Sanity checks (null controls): the membership attack where there is nothing to find, so it must find nothing.

If one finds something, training and held-out patients differ for another reason than a leak, and the p values of the
other tests are invalid.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np

from radcommons.audit.inputs.privacy import PrivacyInputs
from radcommons.audit.neighbours.nearest import nearest
from radcommons.audit.tests.membership import membership_test
from radcommons.records import PrivacyTest, Space
from radcommons.seeds import numpy_stream

SPACE: Space = "re-identification features"
NO_GENERATOR = partial(
    PrivacyTest,
    kind="sanity check: no generator",
    space=SPACE,
    access="films",
    question="Do training and held-out films differ even without the generator?",
)
HALVES = partial(
    PrivacyTest,
    kind="sanity check: halves of the training part",
    space=SPACE,
    access="films",
    question="Does the attack find a difference between two random halves of the training patients?",
)


def tests(inputs: PrivacyInputs) -> Iterator[PrivacyTest]:
    """The attack without the generator, and between two halves of the training patients."""
    known, train = inputs.neighbours[SPACE], inputs.real.train
    if known.train_to_reference is None or known.held_to_reference is None:
        yield NO_GENERATOR(skipped="there is no validation part")
        return
    rng = numpy_stream(inputs.settings.seed, "bias")
    yield membership_test(
        NO_GENERATOR,
        known.train_to_reference.best,
        known.held_to_reference.best,
        train.patients,
        inputs.real.held_out.patients,
        inputs,
        rng=rng,
        two_sided=True,
    )
    patients = rng.permutation(np.unique(train.patients))
    first = np.isin(train.patients, patients[: len(patients) // 2])
    nearness = nearest(SPACE, train, inputs.synthetic[SPACE].images).best
    yield membership_test(
        HALVES,
        nearness[first],
        nearness[~first],
        train.patients[first],
        train.patients[~first],
        inputs,
        rng=rng,
        groups=("in one half", "in the other half"),
        two_sided=True,
    )
