"""The conditional progressive GAN of the paper: generator, critic and their configuration.

Source: Karras et al. 2018 (arXiv 1710.10196) with the AC-GAN conditioning of Odena et al. 2017 (arXiv 1610.09585),
channels and details as in Han et al. 2020. Images are (N, 1, R, R) in [-1, 1]; labels are (N, F) in [0, 1].
"""

from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from radcommons.models.families.family import SMALLEST, PyramidConfig, resolutions_up_to
from radcommons.models.layers import (
    GAIN,
    LEAK,
    EqualisedConv,
    EqualisedLinear,
    downsample,
    leaky,
    leaky_pixel_norm,
    minibatch_stddev,
    pixel_norm,
    upsample,
)


class ProganConfig(PyramidConfig):
    """Everything that determines the two networks' shapes, and how far they have grown; saved as JSON."""

    grown_to: int | None = Field(None, description="image side that training has reached, pixels; off = the final one")
    fade: float = Field(1.0, ge=0, le=1, description="weight of that side's own layers; below 1 in a fade-in")

    @model_validator(mode="after")
    def _grown(self) -> Self:
        if self.side not in self.resolutions:
            raise ValueError(f"'grown_to' is {self.grown_to}: not a step on the way to {self.resolution}")
        return self

    @property
    def side(self) -> int:
        """Side of the images at this stage of growth, pixels."""
        return self.grown_to or self.resolution


def read_old_names(network: nn.Module, name: str) -> None:
    """Let a network load weights that were saved when `to_rgb` and `from_rgb` were named `heads`."""

    def rename(_: nn.Module, state: dict[str, Any], *__: Any) -> None:
        for key in [key for key in state if key.startswith("heads.")]:
            state[name + key.removeprefix("heads")] = state.pop(key)

    network.register_load_state_dict_pre_hook(rename)


class GeneratorBlock(nn.Module):
    """Doubling convolution and a second one, each with LReLU and pixel norm; (N, in, H, W) -> (N, out, 2H, 2W)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up = EqualisedConv(inputs, outputs, up=2)
        self.conv = EqualisedConv(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, 2H, 2W)."""
        x = leaky_pixel_norm(self.up(x))
        return leaky_pixel_norm(self.conv(x))


class GeneratorNetwork(nn.Module):
    """Latent and label vector to image, at any step of the growth and any fade between two."""

    def __init__(self, config: ProganConfig) -> None:
        super().__init__()
        self.config = config
        width = config.channels[SMALLEST]
        self.dense = EqualisedLinear(config.latent_size + config.findings, width * 16, gain=GAIN / 4)
        self.dense.bias = nn.Parameter(torch.zeros(width))  # one a channel, shared by the 16 pixels
        self.conv = EqualisedConv(width, width)
        self.blocks = nn.ModuleDict()
        self.to_rgb = nn.ModuleDict({str(SMALLEST): EqualisedConv(width, 1, kernel=1, gain=1)})
        for resolution in config.resolutions[1:]:
            inputs, outputs = config.channels[resolution // 2], config.channels[resolution]
            self.blocks[str(resolution)] = GeneratorBlock(inputs, outputs)
            self.to_rgb[str(resolution)] = EqualisedConv(outputs, 1, kernel=1, gain=1)
        read_old_names(self, "to_rgb")

    def forward(
        self, latents: Tensor, labels: Tensor, resolution: int | None = None, fade: float | None = None
    ) -> Tensor:
        """Generate images.

        Args:
            latents: (N, latent_size), standard normal.
            labels: (N, findings), each in [0, 1].
            resolution: side of the images, a step of the growth; by default the configuration's.
            fade: 1 = this resolution's own layers alone, 0 = the doubled image of the resolution below; by default the
                configuration's.
        Returns:
            (N, 1, resolution, resolution), linear, about [-1, 1].
        """
        resolution = self.config.side if resolution is None else resolution
        fade = self.config.fade if fade is None else fade
        if resolution == SMALLEST:
            image: Tensor = self.to_rgb[str(resolution)](self.features(latents, labels, resolution))
            return image
        below = self.features(latents, labels, resolution // 2)
        image = self.to_rgb[str(resolution)](self.block(resolution)(below))
        if fade < 1:
            image = torch.lerp(upsample(self.to_rgb[str(resolution // 2)](below)), image, fade)
        return image

    def features(self, latents: Tensor, labels: Tensor, resolution: int) -> Tensor:
        """Feature maps that `to_rgb` of `resolution` takes, (N, C, resolution, resolution); inputs as in `forward`."""
        x = pixel_norm(torch.cat([latents, labels.to(latents.dtype)], dim=1))
        x = nn.functional.linear(x, self.dense.weight * self.dense.scale).unflatten(1, (-1, 4, 4))
        x = leaky_pixel_norm(x + self.dense.bias.view(1, -1, 1, 1))
        x = leaky_pixel_norm(self.conv(x))
        for step in resolutions_up_to(resolution)[1:]:
            x = self.block(step)(x)
        return x

    def block(self, resolution: int) -> GeneratorBlock:
        """The block whose output has `resolution` pixels a side."""
        block = self.blocks[str(resolution)]
        assert isinstance(block, GeneratorBlock)
        return block


class CriticBlock(nn.Module):
    """Convolution and a halving one, each with LReLU; (N, in, 2H, 2W) -> (N, out, H, W)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = EqualisedConv(inputs, inputs, leak=LEAK)
        self.down = EqualisedConv(inputs, outputs, down=2, leak=LEAK)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, 2H, 2W) -> (N, outputs, H, W)."""
        result: Tensor = self.down(self.conv(x))
        return result


class Critic(nn.Module):
    """Image to a score (higher = more real) and one logit per finding. Never leaves the hospital."""

    def __init__(self, config: ProganConfig) -> None:
        super().__init__()
        self.config = config
        width = config.channels[SMALLEST]
        self.from_rgb = nn.ModuleDict()
        self.blocks = nn.ModuleDict()
        for resolution in config.resolutions:
            self.from_rgb[str(resolution)] = EqualisedConv(1, config.channels[resolution], kernel=1, leak=LEAK)
        for resolution in config.resolutions[1:]:
            inputs, outputs = config.channels[resolution], config.channels[resolution // 2]
            self.blocks[str(resolution)] = CriticBlock(inputs, outputs)
        self.conv = EqualisedConv(width + 1, width, leak=LEAK)
        self.dense = EqualisedLinear(width * 16, width)
        self.output = EqualisedLinear(width, 1 + config.findings, gain=1)
        read_old_names(self, "from_rgb")

    def forward(
        self, images: Tensor, labels: Tensor | None = None, *, fade: float | None = None
    ) -> tuple[Tensor, Tensor]:
        """Score images of any resolution of the growth.

        Args:
            images: (N, 1, R, R), about [-1, 1].
            labels: not needed: this critic tells the findings from the image.
            fade: 1 = the block of resolution R counts in full, 0 = the halved image alone; by default the
                configuration's.
        Returns:
            Scores (N,) and label logits (N, findings).
        """
        resolution = images.shape[-1]
        fade = self.config.fade if fade is None else fade
        x = self.from_rgb[str(resolution)](images)
        for step in reversed(resolutions_up_to(resolution)[1:]):
            x = self.blocks[str(step)](x)
            if step == resolution and fade < 1:
                halved = self.from_rgb[str(resolution // 2)](downsample(images))
                x = torch.lerp(halved, x, fade)
        x = self.conv(minibatch_stddev(x))
        x = leaky(self.dense(x.flatten(1)))
        output: Tensor = self.output(x)
        return output[:, 0], output[:, 1:]


def forward_flops(config: ProganConfig, resolution: int) -> tuple[int, int]:
    """FLOPs of the convolutions of one image, plainly computed: generator, critic.

    Plainly: doubled, then convolved; convolved, then averaged. A whole training step with the gradient penalty is 4
    passes of the generator and 14 of the critic (a convolution has three forms of equal cost).
    """
    width = config.channels
    flops = 2 * 9 * width[SMALLEST] ** 2 * SMALLEST**2
    for here in resolutions_up_to(resolution)[1:]:
        flops += 2 * 9 * here**2 * width[here] * (width[here // 2] + width[here])  # the same layers in both
    return flops, flops + 2 * width[SMALLEST] ** 2 * SMALLEST**2  # the critic's dense layer
