"""Membership inference, black-box: can somebody who has synthetic images tell whose films were in training?"""

import numpy as np

from radcommons.audit.inputs.privacy import PrivacyInputs, SyntheticNeighbours
from radcommons.audit.neighbours.nearest import nearest
from radcommons.audit.tests.membership import membership_test
from radcommons.records import PrivacyTest, Space


def tests(
    space: Space, synthetic: SyntheticNeighbours, inputs: PrivacyInputs, rng: np.random.Generator
) -> list[PrivacyTest]:
    """The attack: a film was in training where a synthetic image lies unusually near to it.

    As in the source, "unusually" is measured by how near other films lie: here the nearest film of the reference part.
    Source: Chen et al. 2020 (GAN-Leaks), full black-box attack with calibration.
    """
    real, neighbours = inputs.real, inputs.neighbours[space]
    members = nearest(space, real.train, synthetic.images).best
    others = nearest(space, real.held_out, synthetic.images).best
    if neighbours.train_to_reference is not None and neighbours.held_to_reference is not None:
        members, others = members - neighbours.train_to_reference.best, others - neighbours.held_to_reference.best
    return [
        membership_test(
            members,
            others,
            real.train.patients,
            real.held_out.patients,
            kind="membership inference: black-box",
            space=space,
            access="samples",
            question="Can somebody who has synthetic images tell whose films were in training?",
            settings=inputs.settings,
            significance=inputs.significance,
            rng=rng,
        )
    ]
