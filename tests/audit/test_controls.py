"""Controls and the detection limit (some controls are run in test_flow.py)."""

from dataclasses import replace

import numpy as np
import pytest

from radcommons.audit import controls
from radcommons.audit.controls import detection_limit, duplicates
from radcommons.audit.inputs.material import Material
from radcommons.audit.inputs.privacy import PrivacyInputs
from radcommons.audit.tests import train_test_duplicates
from radcommons.policy.privacy import is_positive
from radcommons.policy.settings import Policy


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
def test_planted_duplicates_are_caught_however_many_there_are_and_none_is_not(
    inputs: PrivacyInputs, share: float
) -> None:
    assert duplicates(inputs, Policy(), share=share).behaved
    assert not any(is_positive(test, Policy()) for test in train_test_duplicates.tests(inputs))


def test_duplicates_are_planted_as_the_policy_judges_them(
    inputs: PrivacyInputs, gathered: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert duplicates(inputs, Policy(train_test_duplicates=10)).behaved, "more than it allows"
    others = ["copies", "overfitted", "unseen"]
    for other in others:
        monkeypatch.setattr(controls, other, lambda *_, name=other: name)
    assert controls.run_controls(inputs, gathered, Policy(train_test_duplicates=None)) == others


def test_planted_duplicates_need_no_new_search_among_the_films(
    inputs: PrivacyInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controls, "real_neighbours", lambda *_: pytest.fail("the films' neighbours are known"))
    assert duplicates(inputs, Policy()).behaved


def test_the_smallest_share_that_is_detected_is_one_that_was_tried(inputs: PrivacyInputs, gathered: Material) -> None:
    few = {space: some.take(np.arange(60)) for space, some in inputs.synthetic.items()}
    share = detection_limit(replace(inputs, synthetic=few), Policy(), gathered, leaks=False)
    assert share is not None and share >= 1 / 60 and share * 60 == pytest.approx(round(share * 60))
