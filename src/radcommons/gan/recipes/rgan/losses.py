"""Losses of the relativistic pairing GAN with zero-centred gradient penalties (Huang et al. 2024, arXiv 2501.05441)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from radcommons.gan.recipes.rgan.augmentation import Augmented
from radcommons.models.cpu import input_gradients_only
from radcommons.models.families.rgan import Critic

Numbers = dict[str, Tensor]


def critic_loss(
    critic: Critic, real: Augmented, fake: Augmented, labels: Tensor, *, gamma: float
) -> tuple[Tensor, Numbers]:
    """What the critic minimises: each real image should score above the synthetic one under the same labels.

    Args:
        labels: (N, F) of both images of a pair.
        gamma: weight of the penalties; 0 leaves them out.
    Returns:
        The mean loss, and means of its parts.
    """
    n = len(labels)
    images, inside = torch.cat([real.images, fake.images.detach()]), torch.cat([real.inside, fake.inside])
    real_scores, fake_scores = critic(images, labels.repeat(2, 1), inside)[0].to(images.dtype).split(n)
    loss = F.softplus(fake_scores - real_scores).mean()
    numbers = {"critic_loss": loss, "score_gap": (real_scores - fake_scores).mean()}
    if gamma:
        norms = squared_gradients(critic, images, labels.repeat(2, 1), inside)
        numbers |= {"gradient_real": norms[:n].mean(), "gradient_fake": norms[n:].mean()}
        loss = loss + gamma / 2 * (norms[:n] + norms[n:]).mean()
    return loss, numbers


def generator_loss(critic: Critic, real: Augmented, fake: Augmented, labels: Tensor) -> tuple[Tensor, Numbers]:
    """What the generator minimises: its image should score above the real one under the same labels."""
    with torch.no_grad():
        real_scores, _ = critic(real.images, labels, real.inside)
    scores, _ = critic(fake.images, labels, fake.inside)
    loss = F.softplus((real_scores - scores).to(fake.images.dtype)).mean()
    return loss, {"generator_loss": loss}


def squared_gradients(critic: Critic, images: Tensor, labels: Tensor, inside: Tensor) -> Tensor:
    """|d score / d image|^2 of each image, differentiable; (N, 1, R, R) -> (N,).

    Never in mixed precision: a squared norm of bf16 gradients is not the penalty.
    """
    images = images.detach().requires_grad_(True)
    with torch.autocast(images.device.type, enabled=False):
        scores, _ = critic(images, labels, inside)
        with input_gradients_only():
            (gradients,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
        norms: Tensor = gradients.square().sum((1, 2, 3))
    return norms
