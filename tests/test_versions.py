"""A result names the software that made it."""

import numpy
import torch

import radcommons
from radcommons.versions import versions


def test_versions_are_those_of_radcommons_and_of_the_packages_asked_for() -> None:
    found = versions("numpy", "torch")
    assert list(found) == ["radcommons", "numpy", "torch"]
    assert found["radcommons"] == radcommons.__version__
    assert found["numpy"] == numpy.__version__
    assert found["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
