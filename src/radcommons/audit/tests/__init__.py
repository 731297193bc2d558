"""The privacy tests of an audit: every leak that is looked for.

To add a test:

1. Write a module here whose `tests` yields a `PrivacyTest` with a `detection_limit` (else it "could not detect").
   Name it at the end of one of the tuples below: the tests of a space share one random stream, in this order.
2. Add its kind to `PrivacyTestKind` in `records/audit.py`.
3. Add the rule for this kind to `rule_for` in `policy/privacy.py`; mypy and a test fail until it is there.
"""

from collections.abc import Callable, Iterator

import numpy as np

from radcommons.audit.inputs.material import Material
from radcommons.audit.inputs.privacy import PrivacyInputs, SyntheticNeighbours
from radcommons.audit.neighbours.nearest import SPACES, STREAMS
from radcommons.audit.tests import (
    distance_to_closest_record,
    membership_black_box,
    membership_critic,
    membership_white_box,
    near_duplicates,
    sanity_checks,
    train_test_duplicates,
)
from radcommons.records import PrivacyTest, Space
from radcommons.resume import Kept
from radcommons.seeds import numpy_stream

# Of the store and the split: without a sound split no other test is valid.
STORE_TESTS: tuple[Callable[[PrivacyInputs], Iterator[PrivacyTest]], ...] = (
    train_test_duplicates.tests,
    sanity_checks.tests,
)
# Of synthetic images, once in every space, the quick ones first.
SAMPLE_TESTS: tuple[
    Callable[[Space, SyntheticNeighbours, PrivacyInputs, np.random.Generator], Iterator[PrivacyTest]], ...
] = (
    near_duplicates.tests,
    membership_black_box.tests,
    distance_to_closest_record.tests,
)
# Of the generator's weights, and of the critic, which never leaves the hospital.
WEIGHT_TESTS: tuple[Callable[[PrivacyInputs, Material, Kept], Iterator[PrivacyTest]], ...] = (
    membership_white_box.tests,
    membership_critic.tests,
)


def sample_tests(inputs: PrivacyInputs, synthetic: dict[Space, SyntheticNeighbours]) -> Iterator[PrivacyTest]:
    """Every test of these images, space by space."""
    for space in SPACES:
        rng = numpy_stream(inputs.settings.seed, "sample tests", STREAMS[space])
        for tests in SAMPLE_TESTS:
            yield from tests(space, synthetic[space], inputs, rng)


def store_tests(inputs: PrivacyInputs) -> list[PrivacyTest]:
    """Every test of the store itself."""
    return [found for tests in STORE_TESTS for found in tests(inputs)]


def weight_tests(inputs: PrivacyInputs, material: Material, work: Kept) -> list[PrivacyTest]:
    """Every test that needs weights."""
    return [found for tests in WEIGHT_TESTS for found in tests(inputs, material, work)]
