"""How small a leak the audit as a whole would have detected."""

from dataclasses import replace

import numpy as np
import pytest

from radcommons.audit.detection_limit import detection_limit
from radcommons.audit.inputs.material import Material
from radcommons.audit.inputs.privacy import PrivacyInputs
from radcommons.policy.settings import Policy


def test_the_smallest_share_that_is_detected_is_one_that_was_tried(inputs: PrivacyInputs, gathered: Material) -> None:
    few = {space: some.take(np.arange(60)) for space, some in inputs.synthetic.items()}
    share = detection_limit(replace(inputs, synthetic=few), Policy(), gathered, leaks=False)
    assert share is not None and share >= 1 / 60 and share * 60 == pytest.approx(round(share * 60))
