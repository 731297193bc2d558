"""TorchXRayVision's DenseNet-121, trained on radiographs: an adapter for where that package is installed.

It needs torchvision, which is not part of this project's environment, so this adapter was written from the package's
documentation (Cohen et al. 2022) and has never been run with the real package here; its tests use a stand-in.
"""

import hashlib
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module

import torch
from torch import Tensor, nn

from radcommons.errors import WeightsUnavailable

WEIGHTS = "densenet121-res224-all"
SIDE = 224
DIMENSION = 1024


def densenet(device: torch.device) -> tuple[Callable[[Tensor], Tensor], str]:
    """The network, from (n, 1, 224, 224) as `scale` makes it to (n, 1024), and the digest of its weights.

    Raises:
        WeightsUnavailable: the package cannot be imported or has no weights and cannot fetch them.
    """
    try:
        package = import_module("torchxrayvision")
    except (ImportError, RuntimeError) as error:  # a torchvision of another build raises RuntimeError
        raise WeightsUnavailable(
            f"extractor torchxrayvision needs the package torchxrayvision, which cannot be imported "
            f"({_one_line(error)}); install it with a torchvision of the same build as torch, or choose another"
        ) from None
    try:
        with redirect_stdout(sys.stderr):  # it prints while it downloads, and stdout is for results
            model: nn.Module = package.models.DenseNet(weights=WEIGHTS)
    except OSError as error:
        raise WeightsUnavailable(
            f"torchxrayvision cannot fetch its weights {WEIGHTS} ({_one_line(error)}); "
            "fetch them once online with the same package, or choose another extractor"
        ) from None
    model.requires_grad_(False).eval().to(device)
    layers = model.get_submodule("features")

    def network(x: Tensor) -> Tensor:
        maps: Tensor = layers(x)  # (n, 1024, 7, 7)
        return maps.relu().mean((2, 3))

    return network, state_digest(model)


def scale(grey: Tensor) -> Tensor:
    """Grey levels 0 ... 255 to -1024 ... 1024, as the package's ``datasets.normalize`` does."""
    return (2 * (grey / 255) - 1) * 1024


def state_digest(model: nn.Module) -> str:
    """SHA-256 over the names, shapes and bytes of a module's tensors, hexadecimal."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
