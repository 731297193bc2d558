"""Losses of the relativistic pairing GAN with zero-centred gradient penalties (Huang et al. 2024, arXiv 2501.05441)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from radcommons.gan.recipes.rgan.augmentation import Augmented
from radcommons.models.cpu import input_gradients_only
from radcommons.models.families.rgan import Critic

Numbers = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Real and synthetic images under the same labels (N, F), and the labels of other films, (N, F); none unknown."""

    real: Augmented
    fake: Augmented
    labels: Tensor
    other_labels: Tensor


def critic_loss(critic: Critic, pairs: Pairs, *, gamma: float, label_weight: float) -> tuple[Tensor, Numbers]:
    """What the critic minimises: each real image should score above the synthetic one under the same labels.

    It should also score higher under its own labels than under another film's (Reed et al. 2016, arXiv 1605.05396, as a
    comparison of two): from real images alone the critic learns what the labels mean.

    Args:
        gamma: weight of the penalties; 0 leaves them out.
        label_weight: of the comparison of labels.
    Returns:
        The mean loss, and means of its parts.
    """
    real, fake, n = pairs.real, pairs.fake, len(pairs.labels)
    images, inside = torch.cat([real.images, fake.images.detach()]), torch.cat([real.inside, fake.inside])
    labels = pairs.labels.repeat(2, 1)
    scores, by_finding = (values.to(images.dtype) for values in critic(images, labels, inside))
    real_scores, fake_scores = scores.split(n)
    loss = F.softplus(fake_scores - real_scores).mean()
    label_loss = F.softplus((by_finding[:n] * (pairs.other_labels - pairs.labels)).sum(dim=1)).mean()
    numbers = {"critic_loss": loss, "score_gap": (real_scores - fake_scores).mean(), "label_loss": label_loss}
    loss = loss + label_weight * label_loss
    if gamma:
        norms = squared_gradients(critic, images, labels, inside)
        numbers |= {"gradient_real": norms[:n].mean(), "gradient_fake": norms[n:].mean()}
        loss = loss + gamma / 2 * (norms[:n] + norms[n:]).mean()
    return loss, numbers


def generator_loss(critic: Critic, pairs: Pairs) -> tuple[Tensor, Numbers]:
    """What the generator minimises: its image should score above the real one under the same labels."""
    real, fake = pairs.real, pairs.fake
    with torch.no_grad():
        real_scores, _ = critic(real.images, pairs.labels, real.inside)
    scores, _ = critic(fake.images, pairs.labels, fake.inside)
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
