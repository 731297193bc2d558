"""Sanity checks (null controls): the membership attack where there is nothing to find, so it must find nothing.

Where one finds something, training and held-out patients differ for another reason than a leak, and the p values of
the other tests are invalid.
"""

import numpy as np

from radcommons.audit.inputs.privacy import PrivacyInputs
from radcommons.audit.neighbours.nearest import nearest
from radcommons.audit.tests.membership import membership_test
from radcommons.records import PrivacyTest, Space
from radcommons.seeds import numpy_stream

SPACE: Space = "re-identification features"


def tests(inputs: PrivacyInputs) -> list[PrivacyTest]:
    """The attack without the generator, and between two halves of the training patients."""
    neighbours, real, settings = inputs.neighbours[SPACE], inputs.real, inputs.settings
    rng = numpy_stream(settings.seed, "bias")
    question = "Do training and held-out films differ even without the generator?"
    if neighbours.train_to_reference is None or neighbours.held_to_reference is None:
        why = "there is no validation part"
        return [
            PrivacyTest(kind="sanity check: no generator", space=SPACE, access="films", question=question, skipped=why)
        ]
    no_generator = membership_test(
        neighbours.train_to_reference.best,
        neighbours.held_to_reference.best,
        real.train.patients,
        real.held_out.patients,
        kind="sanity check: no generator",
        space=SPACE,
        access="films",
        question=question,
        settings=settings,
        significance=inputs.significance,
        rng=rng,
        two_sided=True,
    )
    patients = rng.permutation(np.unique(real.train.patients))
    first = np.isin(real.train.patients, patients[: len(patients) // 2])
    nearness = nearest(SPACE, real.train, inputs.synthetic[SPACE].images).best
    halves = membership_test(
        nearness[first],
        nearness[~first],
        real.train.patients[first],
        real.train.patients[~first],
        kind="sanity check: halves of the training part",
        space=SPACE,
        access="films",
        question="Does the attack find a difference between two random halves of the training patients?",
        groups=("in one half", "in the other half"),
        settings=settings,
        significance=inputs.significance,
        rng=rng,
        two_sided=True,
    )
    return [no_generator, halves]
