"""Fingerprints of images: what differs how much."""

import base64

import numpy as np
import pytest

from radcommons.hub.fingerprint import IMAGES, SIDE, difference, nearest_copy, shrunk
from radcommons.records import KnownDeposit


def text_of(images: np.ndarray) -> str:
    return base64.b64encode(images.astype(np.uint8).tobytes()).decode()


def test_the_same_images_differ_by_nothing_and_unrelated_ones_by_about_one() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 16, 256))
    assert difference(a, a) == 0
    assert difference(a, b) == pytest.approx(1, abs=0.1)
    assert difference(a, a + 0.1 * b) == pytest.approx(0.1 / np.sqrt(2 + 0.01), abs=0.01)


def test_images_are_made_small_by_means_and_the_smallest_are_repeated() -> None:
    images = np.arange(16, dtype=np.uint8).reshape(1, 4, 4)
    assert shrunk(images, 2).tolist() == [[[2, 4], [10, 12]]]  # 2.5 and 12.5 are rounded to even
    assert shrunk(images, 8)[0, :2, :4].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]


def test_the_nearest_of_the_known_deposits_is_named_and_those_without_images_are_left_out() -> None:
    rng = np.random.default_rng(0)
    own, other = rng.integers(0, 200, (2, IMAGES, SIDE, SIDE))
    known = [
        KnownDeposit(name="old", weights_sha256="0"),
        KnownDeposit(name="other", weights_sha256="1", fingerprint=text_of(other)),
        KnownDeposit(name="copy", weights_sha256="2", fingerprint=text_of(own + 2)),
    ]
    found = nearest_copy(text_of(own), known)
    assert found is not None and found[0] == "copy" and found[1] < 0.05
    assert nearest_copy(text_of(own), known[:1]) is None
