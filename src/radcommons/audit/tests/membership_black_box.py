"""Membership inference, black-box: can somebody who has synthetic images tell whose films were in training?"""

from collections.abc import Iterator
from functools import partial

import numpy as np

from radcommons.audit.inputs.privacy import PrivacyInputs, SyntheticNeighbours
from radcommons.audit.neighbours.nearest import nearest
from radcommons.audit.tests.membership import membership_test
from radcommons.records import PrivacyTest, Space

TEST = partial(
    PrivacyTest,
    kind="membership inference: black-box",
    access="samples",
    question="Can somebody who has synthetic images tell whose films were in training?",
)


def tests(
    space: Space, synthetic: SyntheticNeighbours, inputs: PrivacyInputs, rng: np.random.Generator
) -> Iterator[PrivacyTest]:
    """The attack: a film was in training if a synthetic image lies unusually near to it.

    As in the source, "unusually" is measured by how near other films lie: here the nearest film of the reference part.
    Source: Chen et al. 2020 (GAN-Leaks), full black-box attack with calibration.
    """
    real, known = inputs.real, inputs.neighbours[space]
    members, others = (nearest(space, films, synthetic.images).best for films in (real.train, real.held_out))
    if known.train_to_reference is not None and known.held_to_reference is not None:
        members, others = members - known.train_to_reference.best, others - known.held_to_reference.best
    test = partial(TEST, space=space)
    yield membership_test(test, members, others, real.train.patients, real.held_out.patients, inputs, rng=rng)
