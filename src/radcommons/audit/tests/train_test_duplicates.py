"""Train-test duplicates: films of patients in training that are also held out, under another patient."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from radcommons.audit.inputs.privacy import PrivacyInputs
from radcommons.audit.tests.near_duplicates import count_copies
from radcommons.records import PrivacyTest

TEST = partial(
    PrivacyTest,
    kind="train-test duplicates",
    access="films",
    question="Are films of patients in training also held out, under another patient?",
)


def tests(inputs: PrivacyInputs) -> Iterator[PrivacyTest]:
    """Held-out or reference films that are the same film as a training film, in the space that tells films best."""
    space, real = min(inputs.neighbours.items(), key=lambda item: item[1].chance_of_copy)
    if not real.tells_copies:
        yield TEST(skipped="changed copies of a film cannot be told from films of other patients here")
        return
    parts = [part.best for part in (real.held_to_train, real.reference_to_train) if part is not None]
    test = partial(
        TEST,
        space=space,
        measure="held-out and validation films that are copies of a training film",
        counts={"held-out films": len(inputs.real.held_out), "validation films": len(inputs.real.reference)},
    )
    yield count_copies(test, np.concatenate(parts), real, inputs.significance)
