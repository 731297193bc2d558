"""Augmentation of real and synthetic films alike before the critic sees them (Zhao et al. 2020, arXiv 2006.10738).

Never a flip, a quarter turn or an inversion: the heart's side and the direction of grey levels are findings. Pixels
that come from outside the film are zero and marked, so that the critic does not teach the generator to draw them.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

ENTRIES = 11  # random numbers that one film takes
SHIFT = 1 / 8  # of the side, at most
DEGREES = 7.0
ZOOM = 1.15  # at most this, or one over it
BRIGHTNESS = 0.2  # of the range -1 .. 1
CONTRAST = 1.25
CUTOUT = 0.4  # side of the square, as a share of the film's


@dataclass(frozen=True, slots=True)
class Augmented:
    """Images (N, 1, R, R), and where they are of the film: (N, 1, R, R), 0 or 1."""

    images: Tensor
    inside: Tensor


def augment(images: Tensor, random: Tensor, probability: float) -> Augmented:
    """Shift, turn and zoom; brightness and contrast; one square cut out. Each of the three with a probability.

    Args:
        images: (N, 1, R, R) in about [-1, 1]; gradients flow through.
        random: (N, ENTRIES), uniform in [0, 1).
        probability: of each of the three, in [0, 1].
    """
    gates = random[:, :3] < probability
    around = 2 * random[:, 3:] - 1  # uniform in -1 .. 1
    geometry, grey = gates[:, 0].to(images.dtype), gates[:, 1].to(images.dtype)
    shift_x, shift_y, turn, zoom, brightness, contrast, cut_x, cut_y = around.to(images.dtype).unbind(1)

    angle = turn * geometry * math.radians(DEGREES)
    scale = ZOOM ** (zoom * geometry)
    rows = torch.stack(
        [
            torch.stack([angle.cos() * scale, -angle.sin() * scale, 2 * SHIFT * shift_x * geometry], dim=1),
            torch.stack([angle.sin() * scale, angle.cos() * scale, 2 * SHIFT * shift_y * geometry], dim=1),
        ],
        dim=1,
    )
    grid = F.affine_grid(rows, list(images.shape), align_corners=False)
    inside = (grid.abs() <= 1).all(dim=-1).unsqueeze(1).to(images.dtype)
    moved = F.grid_sample(images, grid, mode="bicubic", padding_mode="border", align_corners=False)
    images = torch.where(gates[:, 0, None, None, None], moved, images)

    factor = (CONTRAST ** (contrast * grey)).view(-1, 1, 1, 1)
    images = images * factor + (BRIGHTNESS * brightness * grey).view(-1, 1, 1, 1)

    side = images.shape[-1]
    at = (torch.arange(side, device=images.device, dtype=images.dtype) + 0.5) / side * 2 - 1
    outside_x = (at - cut_x[:, None]).abs() >= CUTOUT
    outside_y = (at - cut_y[:, None]).abs() >= CUTOUT
    kept = outside_y[:, None, :, None] | outside_x[:, None, None, :] | ~gates[:, 2, None, None, None]
    inside = inside * kept.to(images.dtype)
    return Augmented(images * inside, inside)
