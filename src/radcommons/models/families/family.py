"""What every family of generators gives the rest of the package."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from radcommons.models.grey_levels import to_bytes
from radcommons.models.layers import keep_kernels
from radcommons.precision import Precision, resolved
from radcommons.settings import Settings

SMALLEST = 4  # side of the first images of a pyramid, pixels
PIECE_PIXELS = 2**17  # of images that go through a network together in bf16 on a CPU, 2 at 256: they stay in the cache
Sampler = Callable[[Tensor, Tensor], np.ndarray]  # latents (n, L), labels (n, F) -> grey levels uint8 (n, R, R)


class FamilyConfig(Settings):
    """What determines the shapes of a family's networks; a family adds its own settings and says `side`."""

    latent_size: int = Field(512, ge=1, description="entries of the latent vector")
    findings: int = Field(ge=0, description="entries of the label vector")

    @property
    def side(self) -> int:
        """Side of the images, pixels."""
        raise NotImplementedError


def resolutions_up_to(resolution: int) -> list[int]:
    """4, 8, ... `resolution`."""
    return [2**k for k in range(2, resolution.bit_length())]


class PyramidConfig(FamilyConfig):
    """Of networks with a block for each resolution from 4 pixels on."""

    resolution: int = Field(256, ge=SMALLEST, le=1024, description="final image side, pixels, a power of two")
    channels: dict[int, int] = Field(description="feature maps of the blocks at each resolution")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.resolution & (self.resolution - 1):
            raise ValueError(f"'resolution' is {self.resolution}: must be a power of two")
        missing = [r for r in self.resolutions if self.channels.get(r, 0) < 1]
        if missing:
            raise ValueError(f"'channels' has no entry for {', '.join(map(str, missing))}")
        return self

    @property
    def resolutions(self) -> list[int]:
        """4 ... the final resolution."""
        return resolutions_up_to(self.resolution)


def plain_sampler(network: nn.Module) -> Sampler:
    """Samples with the network as it is trained; what its layers prepare from their weights is kept."""
    keep_kernels(network, True)

    def sample(latents: Tensor, labels: Tensor) -> np.ndarray:
        grey: np.ndarray = to_bytes(network(latents, labels))[:, 0].cpu().numpy()
        return grey

    return sample


def bf16_sampler(network: nn.Module, side: int) -> Sampler:
    """As `plain_sampler`, in mixed precision and channels_last, for images of `side` pixels."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
    plain, piece = plain_sampler(network), max(1, PIECE_PIXELS // side**2)

    def sample(latents: Tensor, labels: Tensor) -> np.ndarray:
        size = piece if latents.device.type == "cpu" else len(latents)
        with torch.autocast(latents.device.type, torch.bfloat16):
            return np.concatenate([plain(*some) for some in zip(latents.split(size), labels.split(size), strict=True)])

    return sample


def parameter_count(network: nn.Module) -> int:
    """Trainable numbers of a network."""
    return sum(p.numel() for p in network.parameters())


@dataclass(frozen=True)
class Family:
    """One family of generators.

    Attributes:
        config: its configuration; saved beside the weights.
        generator: makes the network of a configuration: ``network(latents, labels)`` -> images (N, 1, R, R), about
            -1 .. 1, of latents (N, latent_size) and labels (N, findings) in [0, 1].
        critic: makes the critic of a configuration: ``critic(images, labels)`` -> scores (N,), higher = more real, and
            label logits (N, findings).
        sampler: the fastest way to generate grey levels in fp32 with a network whose weights do not change any more.
    """

    config: type[FamilyConfig]
    generator: Callable[[Any], nn.Module]
    critic: Callable[[Any], nn.Module]
    sampler: Callable[[Any], Sampler] = plain_sampler

    def precision(self, asked: str, device: torch.device) -> Precision:
        """ "fp32" or "bf16" as asked; for "auto" the one that is faster.

        On a CPU a family's own sampler, in fp32, counts as faster than its network in bf16.
        """
        if asked == "auto" and device.type == "cpu" and self.sampler is not plain_sampler:
            return "fp32"
        return resolved(asked, device)
