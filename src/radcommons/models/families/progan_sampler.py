"""Fast sampling from a progressive GAN; equal to the network as it is trained, within rounding.

The weights of every layer are prepared once. On a CPU the large layers run on strips of an image, so that the
activations between two layers stay in the cache: those of 1024 x 1024 pixels and 16 channels are 64 MiB.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from radcommons.models import cpu
from radcommons.models.families.family import plain_sampler, resolutions_up_to
from radcommons.models.families.progan import GeneratorBlock, GeneratorNetwork
from radcommons.models.grey_levels import to_bytes
from radcommons.models.layers import EPSILON, LEAK, EqualisedConv, keep_kernels, upsample

STRIPS_FROM = 256  # resolution of the first block that runs in strips
STRIP = 64  # rows of a block's input in a strip, even
HALO = 2  # rows more at each inner edge: a doubling and two 3x3 convolutions look at less


@dataclass(frozen=True, slots=True)
class StripBlock:
    """A generator's block, prepared for strips."""

    up: cpu.Kernel
    up_bias: Tensor
    conv: cpu.Kernel
    conv_bias: Tensor

    @classmethod
    def of(cls, block: GeneratorBlock, resolution: int) -> "StripBlock":
        """Prepare the block whose images have `resolution` pixels a side."""

        def kernel(layer: EqualisedConv) -> cpu.Kernel:
            side = resolution // layer.up
            return cpu.make_kernel(layer.weight, layer.scale, side=side, up=layer.up, down=1, leak=1.0)

        return cls(kernel(block.up), block.up.bias.detach(), kernel(block.conv), block.conv.bias.detach())

    def __call__(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, 2H, 2W)."""
        x = cpu.leaky_pixel_norm_(cpu.run(x, self.up_bias, self.up), LEAK, EPSILON)
        return cpu.leaky_pixel_norm_(cpu.run(x, self.conv_bias, self.conv), LEAK, EPSILON)


class ProganSampler:
    """Generates grey levels with a network whose weights do not change any more, at its configuration's growth."""

    def __init__(self, network: GeneratorNetwork) -> None:
        self.network = network
        self.side, self.fade = network.config.side, network.config.fade
        in_strips = [r for r in resolutions_up_to(self.side) if r >= STRIPS_FROM]
        on_cpu = network.dense.weight.device.type == "cpu"
        self.strips = {r: StripBlock.of(network.block(r), r) for r in in_strips} if on_cpu else {}
        keep_kernels(network, True)

    def __call__(self, latents: Tensor, labels: Tensor) -> np.ndarray:
        """Images of given inputs: latents (n, L), labels (n, F) on the network's device -> uint8 (n, R, R)."""
        if not self.strips:
            return plain_sampler(self.network)(latents, labels)
        x = self.network.features(latents, labels, next(iter(self.strips)) // 2)
        grey = np.empty((len(x), self.side, self.side), np.uint8)
        for image, target in zip(x.split(1), grey, strict=True):
            self._sample_in_strips(image, target)
        return grey

    def _sample_in_strips(self, x: Tensor, target: np.ndarray) -> None:
        """Features of one image, (1, C, H, W) below the first block in strips, to grey levels (R, R)."""
        for resolution, block in self.strips.items():
            last = resolution == self.side
            outputs = block.conv_bias.shape[0]
            whole = None
            if not last:
                whole = torch.empty(1, outputs, resolution, resolution, memory_format=torch.channels_last)
            for first in range(0, x.shape[2], STRIP):
                stop = min(first + STRIP, x.shape[2])
                above, below = min(HALO, first), min(HALO, x.shape[2] - stop)
                strip = x[:, :, first - above : stop + below]
                y = block(strip)[:, :, 2 * above : 2 * (above + stop - first)]
                if whole is not None:
                    whole[:, :, 2 * first : 2 * stop] = y
                    continue
                image = self.network.to_rgb[str(resolution)](y)
                if self.fade < 1:
                    coarse = self.network.to_rgb[str(resolution // 2)](x[:, :, first:stop])
                    image = torch.lerp(upsample(coarse), image, self.fade)
                target[2 * first : 2 * stop] = to_bytes(image)[0, 0].numpy()
            if whole is not None:
                x = whole
