"""Distances to the closest record, and the share of copies from which on they find a leak."""

from dataclasses import replace

import numpy as np
import pytest

from radcommons.audit.inputs.privacy import PrivacyInputs
from radcommons.audit.tests import distance_to_closest_record, sample_tests
from radcommons.audit.tests.distance_to_closest_record import detectable_share
from radcommons.records import PrivacyTest, Space


def test_what_a_test_on_samples_would_detect_follows_the_significance(inputs: PrivacyInputs) -> None:
    strict, lax = (list(sample_tests(replace(inputs, significance=p), inputs.synthetic)) for p in (0.001, 0.05))
    changed = {a.kind for a, b in zip(strict, lax, strict=True) if a.detection_limit != b.detection_limit}
    assert {"data copying", "distance to closest record", "membership inference: black-box"} <= changed


def mixed(inputs: PrivacyInputs, space: Space, share: float) -> dict[str, PrivacyTest]:
    """The tests of a generator's images, a share of which are replaced by slightly changed copies of training films."""
    clean, copies = inputs.synthetic[space], inputs.copies[space]
    count = round(share * len(clean.images))
    rng = np.random.default_rng(4)
    kept, which = np.arange(len(clean.images) - count), rng.integers(len(copies.images), size=count)
    images = clean.take(kept).then(copies.take(which))
    return {test.kind: test for test in distance_to_closest_record.tests(space, images, inputs, rng)}


@pytest.mark.parametrize("space", ["re-identification features", "SSIM"])
def test_the_detection_limit_is_the_share_of_copies_from_which_a_test_finds_them(
    inputs: PrivacyInputs, space: Space
) -> None:
    limit = mixed(inputs, space, 0)["data copying"].detection_limit
    assert limit is not None and 0.2 < limit < 0.7
    few, many = (mixed(inputs, space, share)["data copying"].p_value for share in (limit / 2, 1.2 * limit))
    assert few is not None and many is not None and many < inputs.significance < few


def test_a_test_that_needs_more_than_all_images_to_be_copies_has_no_detection_limit(inputs: PrivacyInputs) -> None:
    test = mixed(inputs, "SSIM", 0)["distance to closest record"]
    assert test.detection_limit is None and test.detection == "not even copies alone are certain to be detected"


def test_more_images_detect_a_smaller_share_and_none_detects_where_all_patients_were_in_training() -> None:
    few, many = (detectable_share(0.05, 1.0, 0.7, images, 0.001) for images in (50, 5000))
    assert few is not None and many is not None and many < few
    assert many == pytest.approx(0.05 / 0.3, rel=0.05), "of many images, only the distance counts"
    assert detectable_share(0.0, 1.0, 1.0, 5000, 0.001) is None
