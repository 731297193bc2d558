"""The default extractor, loaded once, and pictures of things that ImageNet knows."""

from collections.abc import Callable

import numpy as np
import pytest
import skimage.data

from radcommons.extractors import Extractor, load_extractor


@pytest.fixture(scope="session")
def extractor() -> Extractor:
    """EfficientNet-Lite0 with its published weights."""
    return load_extractor("efficientnet-lite0")


@pytest.fixture(scope="session")
def picture() -> Callable[[str], np.ndarray]:
    """A picture of scikit-image's wheel by name, its middle square in colour: uint8 (S, S, 3)."""

    def middle(name: str) -> np.ndarray:
        whole = getattr(skimage.data, name)()
        colour = whole if whole.ndim == 3 else np.repeat(whole[..., None], 3, axis=2)
        height, width = colour.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return np.ascontiguousarray(colour[top : top + side, left : left + side])

    return middle
