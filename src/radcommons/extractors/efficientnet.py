"""EfficientNet-Lite0, the default extractor: ImageNet features that work offline, under Apache-2.0.

Tan and Le 2019 without squeeze-and-excitation and with ReLU6, as the EfficientNet-Lite release of 2020 has it. The
names of the layers are those of the published weights without their leading underscores.
"""

import re
from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from radcommons.models.weights import with_weights

SIDE = 224
DIMENSION = 1280
CLASSES = 1000  # ImageNet's; the published weights hold the classifier too, which the extractor does not run
MEAN, DEVIATION = 127.0, 128.0  # of grey levels, as the weights were trained
EPSILON = 1e-3  # of the batch norms, TensorFlow's

# Repeats, kernel, stride of the first, expansion, outputs: Tan and Le 2019, table 1.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM = 32


class SameConv(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow's SAME: an odd row or column goes to the bottom or right."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        """A square kernel of odd side."""
        super().__init__(inputs, outputs, kernel, stride, padding=0, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        rows, columns = (same_padding(side, kernel, stride) for side in x.shape[2:])
        if rows[0] == rows[1] and columns[0] == columns[1]:
            return F.conv2d(x, self.weight, self.bias, stride, (rows[0], columns[0]), 1, self.groups)
        return F.conv2d(F.pad(x, (*columns, *rows)), self.weight, self.bias, stride, 0, 1, self.groups)


def same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after a row of `side` pixels, so that ceil(side / stride) outputs come of it."""
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; the input is added where the shapes allow (Sandler et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int, expansion: int) -> None:
        """`expansion` 1 leaves the first convolution out."""
        super().__init__()
        inner = inputs * expansion
        self.expands = expansion != 1
        self.adds = stride == 1 and inputs == outputs
        if self.expands:
            self.expand_conv: nn.Module = SameConv(inputs, inner, 1)
            self.bn0: nn.Module = nn.BatchNorm2d(inner, EPSILON)
        self.depthwise_conv = SameConv(inner, inner, kernel, stride=stride, groups=inner)
        self.bn1 = nn.BatchNorm2d(inner, EPSILON)
        self.project_conv = SameConv(inner, outputs, 1)
        self.bn2 = nn.BatchNorm2d(outputs, EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        inner = F.relu6(self.bn0(self.expand_conv(x)), inplace=True) if self.expands else x
        inner = F.relu6(self.bn1(self.depthwise_conv(inner)), inplace=True)
        y: Tensor = self.bn2(self.project_conv(inner))
        return y.add_(x) if self.adds else y


class EfficientNetLite0(nn.Module):
    """From scaled pictures to the 1280 averages before the classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = SameConv(3, STEM, 3, stride=2)
        self.bn0 = nn.BatchNorm2d(STEM, EPSILON)
        blocks, inputs = [], STEM
        for repeats, kernel, first_stride, expansion, outputs in STAGES:
            for repeat in range(repeats):
                stride = first_stride if repeat == 0 else 1
                blocks.append(InvertedResidual(inputs, outputs, kernel=kernel, stride=stride, expansion=expansion))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.conv_head = SameConv(inputs, DIMENSION, 1)
        self.bn1 = nn.BatchNorm2d(DIMENSION, EPSILON)
        self.fc = nn.Linear(DIMENSION, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, S, S), grey levels less 127 over 128 -> (N, 1280), from 0 to 6."""
        x = F.relu6(self.bn0(self.conv_stem(x)), inplace=True)
        for block in self.blocks:
            x = block(x)
        return F.relu6(self.bn1(self.conv_head(x)), inplace=True).mean((2, 3))


def scale(grey: Tensor) -> Tensor:
    """Grey levels 0 ... 255 as the weights expect them."""
    return (grey - MEAN) / DEVIATION


def published_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published state dict under this module's names: ``_blocks.3._bn0.weight`` is ``blocks.3.bn0.weight``."""
    return {re.sub(r"(^|\.)_", r"\1", name): value for name, value in state.items()}


def build(state: Mapping[str, Tensor]) -> EfficientNetLite0:
    """The network with published weights, ready to run; raises RuntimeError for those of another network."""
    return with_weights(EfficientNetLite0, published_names(state))
