"""A conditional GAN that learns from about a thousand films: residual networks, full resolution from the first step.

Written from the papers: residual networks without normalisation or batch statistics and zero-centred gradient
penalties (Huang et al. 2024, "R3GAN", arXiv 2501.05441), labels by projection (Miyato and Koyama 2018, arXiv
1802.05637) that set in late (Shahbazi et al. 2022, arXiv 2201.06578), noise maps for fine texture (Karras et al. 2019,
arXiv 1812.04948). Images are (N, 1, R, R) in [-1, 1]; labels are (N, F) in [0, 1].
"""

import math
from typing import Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from radcommons.models.families.family import SMALLEST, PyramidConfig
from radcommons.models.layers import LEAK, EqualisedConv, EqualisedLinear, downsample, leaky

DETAIL_GAIN = 8.0  # of the bands of detail that the critic is shown beside the image: films have little of them
DETAIL_STEPS = (1, 2, 4)  # pixels between the taps of the blurs whose differences the bands are
LABEL_ENTRIES = 64  # of the embedding of a label vector


class RganConfig(PyramidConfig):
    """Everything that determines the two networks' shapes, and how strongly labels act; saved as JSON.

    A latent vector is `style` numbers, then the pixels of the noise maps; `latent_size` counts both.
    """

    style: int = Field(64, ge=1, description="entries of the latent vector that decide the whole image")
    noise: tuple[int, ...] = Field((), description="sides of the blocks that add a noise map of the latent vector")
    label_strength: float = Field(1.0, ge=0, le=1, description="weight of the labels; below 1 early in training")

    @model_validator(mode="after")
    def _latent(self) -> Self:
        unknown = [side for side in self.noise if side not in self.resolutions]
        if unknown:
            raise ValueError(f"'noise' has {unknown[0]}: not a step on the way to {self.resolution}")
        if self.latent_size != latent_size(self.style, self.noise):
            raise ValueError(f"'latent_size' is {self.latent_size}: 'style' and 'noise' make it another")
        return self

    @property
    def side(self) -> int:
        """Side of the images, pixels."""
        return self.resolution


def latent_size(style: int, noise: tuple[int, ...]) -> int:
    """Entries of a latent vector: those of the style and a pixel each of the noise maps."""
    return style + sum(side**2 for side in noise)


class Residual(nn.Module):
    """x + s f(x), f two 3x3 convolutions, each after a leaky ReLU; same shape in and out."""

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.first = EqualisedConv(channels, channels, leak=LEAK)
        self.second = EqualisedConv(channels, channels)
        self.scale = scale

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """(N, C, H, W), and what is added between the two convolutions -> (N, C, H, W)."""
        y = self.first(leaky(x))
        if noise is not None:
            y = y + noise
        result: Tensor = x + self.scale * self.second(y)
        return result


class GeneratorNetwork(nn.Module):
    """Latent and label vector to image; `label_means` are the mean labels in training, where a label says nothing."""

    def __init__(self, config: RganConfig) -> None:
        super().__init__()
        self.config = config
        ladder, width = config.resolutions, config.channels
        self.label_means = nn.Buffer(torch.zeros(config.findings))
        inputs = config.style + LABEL_ENTRIES
        self.embed = EqualisedLinear(config.findings, LABEL_ENTRIES, gain=1)
        self.start = nn.Parameter(torch.randn(width[SMALLEST], SMALLEST, SMALLEST))
        self.modulate = EqualisedLinear(inputs, width[SMALLEST], gain=1)
        self.dense = EqualisedLinear(inputs, width[SMALLEST] * SMALLEST**2, gain=1)
        self.blocks, self.widths, self.noise = nn.ModuleDict(), nn.ModuleDict(), nn.ParameterDict()
        for side in ladder:
            self.blocks[str(side)] = Residual(width[side], 1 / math.sqrt(len(ladder)))
            if side > SMALLEST:
                self.widths[str(side)] = EqualisedConv(width[side // 2], width[side], kernel=1, gain=1)
            if side in config.noise:
                self.noise[str(side)] = nn.Parameter(torch.zeros(width[side]))
        self.to_grey = EqualisedConv(width[config.resolution], 1, kernel=1, gain=1)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Generate images.

        Args:
            latents: (N, latent_size), standard normal.
            labels: (N, findings), each in [0, 1]; NaN = unknown.
        Returns:
            (N, 1, R, R), about [-1, 1].
        """
        config = self.config
        style, *maps = latents.split([config.style, *(side**2 for side in config.noise)], dim=1)
        noise = dict(zip(config.noise, maps, strict=True))
        embedded = self.embed(centred(labels, self.label_means)) * config.label_strength
        h = torch.cat([style, embedded], dim=1)
        x = self.start * (1 + self.modulate(h)[:, :, None, None]) + self.dense(h).unflatten(1, (-1, SMALLEST, SMALLEST))
        for side, block in self.blocks.items():
            if side in self.widths:
                x = F.interpolate(self.widths[side](x), scale_factor=2, mode="bilinear")
            added = None
            if int(side) in noise:
                added = self.noise[side][:, None, None] * noise[int(side)].view(-1, 1, int(side), int(side))
            x = block(x, added)
        image: Tensor = self.to_grey(leaky(x))
        return image


class Critic(nn.Module):
    """Image and labels to a score (higher = more real) that projects the image on its labels. Stays in the hospital.

    Beside the image it is given the fine detail, enlarged: otherwise it learns of the detail last, and the generator's
    films stay blurred. A third map says which pixels are of the film: augmentation fills the rest with zeros.
    """

    def __init__(self, config: RganConfig) -> None:
        super().__init__()
        self.config = config
        ladder, width = config.resolutions[::-1], config.channels
        self.label_means = nn.Buffer(torch.zeros(config.findings))
        self.from_grey = EqualisedConv(2 + len(DETAIL_STEPS), width[config.resolution], kernel=1, gain=1)
        self.blocks, self.widths = nn.ModuleDict(), nn.ModuleDict()
        for side in ladder:
            self.blocks[str(side)] = Residual(width[side], 1 / math.sqrt(len(ladder)))
            if side > SMALLEST:
                self.widths[str(side)] = EqualisedConv(width[side], width[side // 2], kernel=1, gain=1)
        features = width[SMALLEST]
        self.dense = EqualisedLinear(features * SMALLEST**2, features)
        self.output = nn.Parameter(torch.randn(1 + config.findings, features))  # a bias would cancel out in every pair

    def forward(self, images: Tensor, labels: Tensor, inside: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Score images.

        Args:
            images: (N, 1, R, R), about [-1, 1].
            labels: (N, findings), each in [0, 1]; NaN = unknown.
            inside: (N, 1, R, R), 1 where a pixel is of the film, 0 where it was filled in; by default all are.
        Returns:
            Scores (N,), and (N, findings): by how much each finding raises the score when it is present.
        """
        inside = torch.ones_like(images) if inside is None else inside.to(images.dtype)
        with torch.autocast(images.device.type, enabled=False):  # enlarged, the rounding of bf16 would be seen
            shown = torch.cat([images, DETAIL_GAIN * detail(images, inside), inside], dim=1)
        x = self.from_grey(shown)
        for side, block in self.blocks.items():
            x = block(x)
            if side in self.widths:
                x = self.widths[side](downsample(x))
        features = leaky(self.dense(leaky(x).flatten(1)))
        outputs = F.linear(features, self.output / math.sqrt(features.shape[1]))
        by_finding = outputs[:, 1:] * self.config.label_strength
        scores: Tensor = outputs[:, 0] + (by_finding * centred(labels, self.label_means)).sum(dim=1)
        return scores, by_finding


def detail(images: Tensor, inside: Tensor) -> Tensor:
    """Bands of spatial frequency, finest first: differences between a film and ever wider blurs of it; 0 outside.

    Each blur is a weighted mean of those pixels that are of the film.

    Args:
        images, inside: (N, 1, R, R), `inside` 0 or 1.
    Returns:
        (N, len(DETAIL_STEPS), R, R).
    """
    taps = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], dtype=images.dtype, device=images.device) / 16

    def blur(x: Tensor, step: int) -> Tensor:
        x = F.conv2d(x, taps.view(1, 1, 1, 5), padding=(0, 2 * step), dilation=(1, step))
        return F.conv2d(x, taps.view(1, 1, 5, 1), padding=(2 * step, 0), dilation=(step, 1))

    bands = []
    for step in DETAIL_STEPS:
        coarser = blur(images * inside, step) / blur(inside, step).clamp(min=1e-6)
        bands.append((images - coarser) * inside)
        images = coarser
    return torch.cat(bands, dim=1)


def centred(labels: Tensor, means: Tensor) -> Tensor:
    """Labels minus their means, 0 where unknown (NaN); (N, F), (F,) -> (N, F)."""
    return (labels - means).nan_to_num(0.0)


def forward_flops(config: RganConfig) -> int:
    """FLOPs of the 3x3 convolutions of one image; the same for generator and critic."""
    return sum(2 * 2 * 9 * side**2 * config.channels[side] ** 2 for side in config.resolutions)
