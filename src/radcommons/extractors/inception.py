"""The Inception-v3 of 2015 that the Frechet inception distance is defined by, read from pytorch-fid's weights file.

Szegedy et al. 2016 as TensorFlow's graph of 2015-12-05 has it (Heusel et al. 2017): average pools leave the border's
padding out of the mean, the last block pools by maximum, and there are 1008 classes. The names of the layers are
those of the weights file.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from radcommons.models.weights import with_weights

SIDE = 299
DIMENSION = 2048
CLASSES = 1008  # the file holds the classifier too, which the extractor does not run
EPSILON = 1e-3  # of the batch norms

Kernel = tuple[int, int]
Step = tuple[str, int, Kernel]  # layer, outputs, kernel (rows, columns)
ONE, THREE, FIVE = (1, 1), (3, 3), (5, 5)
ROW, COLUMN = (1, 7), (7, 1)
SHORT_ROW, SHORT_COLUMN = (1, 3), (3, 1)


class ConvNorm(nn.Module):
    """Convolution, batch norm, ReLU. Stride 1 inside a block keeps the size, stride 2 takes no padding."""

    def __init__(self, inputs: int, outputs: int, kernel: Kernel, *, stride: int = 1, keep: bool = True) -> None:
        """`keep` pads so that the size stays."""
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2) if keep else (0, 0)
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H', W')."""
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Mixed(nn.Module):
    """Branches side by side, joined as channels, the pool's last."""

    def __init__(self, inputs: int, *branches: tuple[Step, ...], pool: tuple[str, int] | None) -> None:
        """Each branch is a chain of layers; `pool` is its kind and the outputs of the layer after it.

        Without `pool` the block halves the image: the last layer of each branch and a maximum pool have stride 2.
        """
        super().__init__()
        self.pool = pool
        self._chains: list[list[str]] = []
        for branch in branches:
            before = inputs
            for name, outputs, kernel in branch:
                halves = pool is None and name == branch[-1][0]
                self.add_module(name, ConvNorm(before, outputs, kernel, stride=2 if halves else 1, keep=not halves))
                before = outputs
            self._chains.append([name for name, _, _ in branch])
        if pool:
            self.branch_pool = ConvNorm(inputs, pool[1], ONE)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H, W), or half the size."""
        joined = [self._run(x, chain) for chain in self._chains]
        if self.pool is None:
            pooled = F.max_pool2d(x, 3, 2)
        elif self.pool[0] == "maximum":
            pooled = self.branch_pool(F.max_pool2d(x, 3, 1, 1))
        else:
            pooled = self.branch_pool(average_inside(x))
        return torch.cat([*joined, pooled], 1)

    def _run(self, x: Tensor, chain: list[str]) -> Tensor:
        for name in chain:
            x = self.get_submodule(name)(x)
        return x


class MixedForked(Mixed):
    """The widest blocks: two branches end in a row and a column of three, side by side."""

    def __init__(self, inputs: int, *, pool: tuple[str, int]) -> None:
        """`pool` as in Mixed."""
        super().__init__(
            inputs,
            (("branch1x1", 320, ONE),),
            (("branch3x3_1", 384, ONE),),
            (("branch3x3dbl_1", 448, ONE), ("branch3x3dbl_2", 384, THREE)),
            pool=pool,
        )
        for name in ("branch3x3_2", "branch3x3dbl_3"):
            self.add_module(name + "a", ConvNorm(384, 384, SHORT_ROW))
            self.add_module(name + "b", ConvNorm(384, 384, SHORT_COLUMN))

    def _run(self, x: Tensor, chain: list[str]) -> Tensor:
        x = super()._run(x, chain)
        fork = {"branch3x3_1": "branch3x3_2", "branch3x3dbl_2": "branch3x3dbl_3"}.get(chain[-1])
        if fork is None:
            return x
        return torch.cat([self.get_submodule(fork + side)(x) for side in "ab"], 1)


def average_inside(x: Tensor) -> Tensor:
    """Mean of the 3x3 neighbours that lie inside the image, as TensorFlow pools; same shape."""
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def block_5(inputs: int, pooled: int) -> Mixed:
    """35 x 35 pixels: branches of one 1x1, one 5x5, two 3x3."""
    return Mixed(
        inputs,
        (("branch1x1", 64, ONE),),
        (("branch5x5_1", 48, ONE), ("branch5x5_2", 64, FIVE)),
        (("branch3x3dbl_1", 64, ONE), ("branch3x3dbl_2", 96, THREE), ("branch3x3dbl_3", 96, THREE)),
        pool=("average", pooled),
    )


def block_6(narrow: int) -> Mixed:
    """17 x 17 pixels: 7x7 kernels as rows and columns, `narrow` channels inside."""
    return Mixed(
        768,
        (("branch1x1", 192, ONE),),
        (("branch7x7_1", narrow, ONE), ("branch7x7_2", narrow, ROW), ("branch7x7_3", 192, COLUMN)),
        (
            ("branch7x7dbl_1", narrow, ONE),
            ("branch7x7dbl_2", narrow, COLUMN),
            ("branch7x7dbl_3", narrow, ROW),
            ("branch7x7dbl_4", narrow, COLUMN),
            ("branch7x7dbl_5", 192, ROW),
        ),
        pool=("average", 192),
    )


class Inception2015(nn.Module):
    """From scaled pictures to the 2048 averages before the classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = ConvNorm(3, 32, THREE, stride=2, keep=False)
        self.Conv2d_2a_3x3 = ConvNorm(32, 32, THREE, keep=False)
        self.Conv2d_2b_3x3 = ConvNorm(32, 64, THREE)
        self.Conv2d_3b_1x1 = ConvNorm(64, 80, ONE)
        self.Conv2d_4a_3x3 = ConvNorm(80, 192, THREE, keep=False)
        self.Mixed_5b = block_5(192, 32)
        self.Mixed_5c = block_5(256, 64)
        self.Mixed_5d = block_5(288, 64)
        self.Mixed_6a = Mixed(
            288,
            (("branch3x3", 384, THREE),),
            (("branch3x3dbl_1", 64, ONE), ("branch3x3dbl_2", 96, THREE), ("branch3x3dbl_3", 96, THREE)),
            pool=None,
        )
        self.Mixed_6b = block_6(128)
        self.Mixed_6c = block_6(160)
        self.Mixed_6d = block_6(160)
        self.Mixed_6e = block_6(192)
        self.Mixed_7a = Mixed(
            768,
            (("branch3x3_1", 192, ONE), ("branch3x3_2", 320, THREE)),
            (
                ("branch7x7x3_1", 192, ONE),
                ("branch7x7x3_2", 192, ROW),
                ("branch7x7x3_3", 192, COLUMN),
                ("branch7x7x3_4", 192, THREE),
            ),
            pool=None,
        )
        self.Mixed_7b = MixedForked(1280, pool=("average", 192))
        self.Mixed_7c = MixedForked(2048, pool=("maximum", 192))
        self.fc = nn.Linear(DIMENSION, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 299, 299) from -1 to 1 -> (N, 2048), not below 0."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = F.max_pool2d(x, 3, 2)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))
        x = F.max_pool2d(x, 3, 2)
        for name, block in self.named_children():
            if name.startswith("Mixed_"):
                x = block(x)
        return x.mean((2, 3))


def scale(grey: Tensor) -> Tensor:
    """Grey levels 0 ... 255 to -1 ... 1, as pytorch-fid feeds the network."""
    return grey / 127.5 - 1


def build(state: Mapping[str, Tensor]) -> Inception2015:
    """The network with published weights, ready to run; raises RuntimeError for those of another network."""
    return with_weights(Inception2015, state)
