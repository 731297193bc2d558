"""Losses of the conditional WGAN-GP, as the paper's code had them (per sample, then the mean).

Sources: Gulrajani et al. 2017 (arXiv 1704.00028) for the penalty, Karras et al. 2018 for the drift term,
Odena et al. 2017 for the labels; the data are multi-label, so the label loss is a sum of binary cross-entropies.
"""

import torch
from torch import Tensor

from radcommons.models.cpu import input_gradients_only
from radcommons.models.families.progan import Critic
from radcommons.models.label_loss import known_cross_entropy


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum over findings of the sigmoid cross-entropy; unknown labels (NaN) count nothing.

    Args:
        logits: (N, F).
        labels: (N, F) in [0, 1] or NaN.
    Returns:
        (N,), >= 0.
    """
    return known_cross_entropy(logits, labels).sum(dim=1)


def gradient_norm(critic: Critic, images: Tensor, fade: float) -> Tensor:
    """|d score / d image|_2 of each image, differentiable; images (N, 1, R, R) -> (N,)."""
    images = images.detach().requires_grad_(True)
    scores, _ = critic(images, fade=fade)
    with input_gradients_only():
        (gradients,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    norms: Tensor = torch.linalg.vector_norm(gradients.flatten(1), dim=1)
    return norms


def critic_loss(real_scores: Tensor, fake_scores: Tensor, drift: float) -> Tensor:
    """D(fake) - D(real) + drift D(real)^2, without penalty and labels; (N,), (N,) -> (N,)."""
    return fake_scores - real_scores + drift * real_scores.square()


def penalty(norms: Tensor, weight: float) -> Tensor:
    """`weight` (norm - 1)^2; (N,) -> (N,)."""
    return weight * (norms - 1).square()


def mix(real: Tensor, fake: Tensor, shares: Tensor) -> Tensor:
    """A point between each real and fake image; shares (N,) in [0, 1], 0 = real."""
    return torch.lerp(real, fake, shares.view(-1, 1, 1, 1))
