import math

import pytest
import torch

from radcommons.models.label_loss import known_cross_entropy


def test_an_unknown_label_has_no_loss_and_no_gradient() -> None:
    logits = torch.zeros(1, 2, requires_grad=True)
    losses = known_cross_entropy(logits, torch.tensor([[1.0, float("nan")]]))
    losses.sum().backward()
    assert losses.tolist() == [[pytest.approx(math.log(2)), 0.0]]
    assert logits.grad is not None and logits.grad[0].tolist() == [-0.5, 0.0]


def test_the_weight_counts_for_positives_only() -> None:
    losses = known_cross_entropy(torch.zeros(2, 1), torch.tensor([[1.0], [0.0]]), torch.tensor([3.0]))
    assert losses[:, 0].tolist() == [pytest.approx(3 * math.log(2)), pytest.approx(math.log(2))]
