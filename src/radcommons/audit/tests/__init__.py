"""The privacy tests of an audit: every leak that is looked for.

To add a test:

1. Write a module here whose `tests` yields a `PrivacyTest` with a `detection_limit` (else it "inconclusive").
   Name it last in one of the functions below: the tests of a space share one random stream, in this order.
2. Add its kind to `PrivacyTestKind` in `records/audit.py`.
3. Add the rule for this kind to `rule_for` in `policy/privacy.py`; mypy and a test fail until it is there.
"""

from collections.abc import Iterator

from radcommons.audit.inputs.material import Material
from radcommons.audit.inputs.privacy import PrivacyInputs, SyntheticNeighbours
from radcommons.audit.neighbours.nearest import SPACES, STREAMS
from radcommons.audit.tests import (
    distance_to_closest_record,
    membership_black_box,
    membership_critic,
    membership_white_box,
    near_duplicates,
    reidentification,
    sanity_checks,
    train_test_duplicates,
)
from radcommons.records import PrivacyTest, Space
from radcommons.resume import Kept
from radcommons.seeds import numpy_stream


def store_tests(inputs: PrivacyInputs) -> list[PrivacyTest]:
    """Every test of the store and the split: without a sound split no other test is valid."""
    return [*train_test_duplicates.tests(inputs), *sanity_checks.tests(inputs)]


def sample_tests(inputs: PrivacyInputs, synthetic: dict[Space, SyntheticNeighbours]) -> Iterator[PrivacyTest]:
    """Every test of these images, space by space, the quick ones first."""
    for space in SPACES:
        rng = numpy_stream(inputs.settings.seed, "sample tests", STREAMS[space])
        for module in (near_duplicates, membership_black_box, distance_to_closest_record, reidentification):
            yield from module.tests(space, synthetic[space], inputs, rng)


def weight_tests(inputs: PrivacyInputs, material: Material, work: Kept) -> list[PrivacyTest]:
    """Every test of the generator's weights, and of the critic, which never leaves the hospital."""
    return [*membership_white_box.tests(inputs, material, work), *membership_critic.tests(inputs, material, work)]
