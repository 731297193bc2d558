"""The loss of labels of which some are unknown."""

import torch
import torch.nn.functional as F
from torch import Tensor


def known_cross_entropy(logits: Tensor, labels: Tensor, positive_weight: Tensor | None = None) -> Tensor:
    """Sigmoid cross-entropy of each label; 0, with a gradient of 0, where the label is unknown.

    Args:
        logits: (N, F).
        labels: (N, F) in [0, 1], or NaN for unknown.
        positive_weight: (F,), weight of the positive part; 1 by default.
    Returns:
        (N, F), >= 0.
    """
    losses = F.binary_cross_entropy_with_logits(
        logits, labels.nan_to_num(0.0), pos_weight=positive_weight, reduction="none"
    )
    return torch.where(labels.isnan(), 0.0, losses)
