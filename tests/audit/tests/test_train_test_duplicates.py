"""Train-test duplicates (those that are planted in a store: test_controls.py and test_flow.py)."""

from dataclasses import replace

from radcommons.audit.inputs.privacy import PrivacyInputs
from radcommons.audit.tests import train_test_duplicates


def test_where_copies_cannot_be_told_train_test_duplicates_are_not_looked_for(inputs: PrivacyInputs) -> None:
    blind = {space: replace(real, chance_of_copy=0.2) for space, real in inputs.neighbours.items()}
    (test,) = train_test_duplicates.tests(replace(inputs, neighbours=blind))
    assert test.skipped == "changed copies of a film cannot be told from films of other patients here"
