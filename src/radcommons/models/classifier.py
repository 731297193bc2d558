"""DenseNet-121 for chest films: grey levels in, one logit per finding out.

The network is MONAI's (Huang et al. 2017). `densenet-small` is built alike with a twentieth of the parameters, for two
CPU cores. The network scales the grey levels itself, so that an attack's epsilon is in grey levels too.
"""

import re
from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from radcommons.errors import ClassifierRefused
from radcommons.models.weights import PublishedWeights
from radcommons.settings import Settings

Network = Literal["densenet-121", "densenet-small"]
SHAPES: dict[Network, tuple[int, int, tuple[int, ...]]] = {  # first feature maps, maps per layer, layers per block
    "densenet-121": (64, 32, (6, 12, 24, 16)),
    "densenet-small": (16, 12, (3, 6, 12, 8)),
}
SMALLEST_SIDE = 32  # five halvings
MEAN, SD = 0.449, 0.226  # of ImageNet's pictures in grey, of 1

IMAGENET_WEIGHTS = PublishedWeights(
    what="ImageNet weights of DenseNet-121",
    file="densenet121-a639ec97.pth",
    sha256="a639ec97",  # as much of it as was published
    url="https://download.pytorch.org/models/densenet121-a639ec97.pth",
)


class ClassifierConfig(Settings):
    """What a classifier's weights fit into."""

    network: Network = Field("densenet-121", description="one of a closed list")
    side: int = Field(224, ge=SMALLEST_SIDE, le=1024, description="of the input, pixels")
    findings: int = Field(ge=1, description="outputs")


class ClassifierNetwork(nn.Module):
    """Grey levels 0 ... 255, float32 (n, 1, side, side), to logits (n, findings)."""

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        from monai.networks.nets.densenet import DenseNet  # here: MONAI takes two seconds to import

        first, growth, blocks = SHAPES[config.network]
        self.config = config
        self.densenet = DenseNet(
            spatial_dims=2,
            in_channels=1,
            out_channels=config.findings,
            init_features=first,
            growth_rate=growth,
            block_config=blocks,
        )

    def forward(self, grey: Tensor) -> Tensor:
        """Logits, (n, findings)."""
        logits: Tensor = self.densenet(scaled(grey))
        return logits

    @property
    def last(self) -> nn.Linear:
        """The last layer, from `features` to logits."""
        layer = self.densenet.class_layers.out
        assert isinstance(layer, nn.Linear)
        return layer

    def features(self, grey: Tensor) -> Tensor:
        """The average-pooled feature maps that the last layer sees, (n, d)."""
        maps: Tensor = self.densenet.features(scaled(grey))
        return maps.relu().mean((2, 3))


def scaled(grey: Tensor) -> Tensor:
    """Grey levels 0 ... 255 to the mean and spread of the pictures that pretraining saw."""
    return (grey / 255 - MEAN) / SD


def resized(grey: Tensor, side: int, *, antialias: bool = True) -> Tensor:
    """Grey levels (n, 1, R, R) as (n, 1, side, side), bilinear between pixel centres; untouched where R is `side`.

    Args:
        antialias: average over what a smaller image leaves out; without it every output pixel is made of four.
    """
    if grey.shape[-1] == side:
        return grey
    return F.interpolate(grey, size=(side, side), mode="bilinear", align_corners=False, antialias=antialias)


def imagenet_state(published: Mapping[str, Tensor], network: ClassifierNetwork) -> dict[str, Tensor]:
    """ImageNet's weights under this network's names, for one channel; the last layer stays the network's own.

    The weights of the first convolution are summed over the three colours. For a grey picture it then gives what the
    published one gives for that picture in three equal colours.

    Args:
        published: torchvision's state of DenseNet-121, ``features.denseblock1.denselayer1.norm.1.weight`` ...
    Raises:
        ClassifierRefused: the weights are of another network.
    """
    if network.config.network != "densenet-121":
        raise ClassifierRefused(f"ImageNet weights are of densenet-121, not of {network.config.network}; choose that")
    state = network.state_dict()
    found = {}
    for name, value in published.items():
        name = re.sub(r"(denselayer\d+)\.(norm|conv)\.?([12])\.", r"\1.layers.\2\3.", name)
        if name.startswith("features."):
            found[f"densenet.{name}"] = value.sum(1, keepdim=True) if name == "features.conv0.weight" else value
    mine = {k for k in state if k.startswith("densenet.features.") and not k.endswith("num_batches_tracked")}
    fits = mine <= set(found) and all(found[k].shape == state[k].shape for k in mine)
    if not fits:
        raise ClassifierRefused("the file does not hold the weights of torchvision's DenseNet-121; give that one")
    return {**state, **{k: found[k] for k in mine}}


@torch.no_grad()
def start_outputs(network: ClassifierNetwork, prevalence: Tensor) -> None:
    """Set the last layer's biases to the log odds of each finding, (findings,), so that training starts from them."""
    network.last.bias.copy_(torch.logit(prevalence.clamp(0.001, 0.999)))
