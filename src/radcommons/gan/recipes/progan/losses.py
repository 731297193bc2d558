"""Losses of the conditional WGAN-GP, as the paper's code had them (per sample, then the mean).

Sources: Gulrajani et al. 2017 (arXiv 1704.00028) for the penalty, Karras et al. 2018 for the drift term,
Odena et al. 2017 for the labels; the data are multi-label, so the label loss is a sum of binary cross-entropies.
"""

import torch
from torch import Tensor

from radcommons.gan.batches import TrainingBatch
from radcommons.gan.recipes.progan.schedule import Phase
from radcommons.gan.recipes.progan.settings import ProganSettings
from radcommons.models.cpu import input_gradients_only
from radcommons.models.families.progan import Critic
from radcommons.models.label_loss import known_cross_entropy
from radcommons.models.layers import downsample, stddev_group, upsample


def critic_loss(
    critic: Critic, batch: TrainingBatch, fake: Tensor, phase: Phase, settings: ProganSettings, *, penalise: bool
) -> tuple[Tensor, dict[str, Tensor]]:
    """What the critic minimises: Wasserstein loss with drift, label loss of the real images, gradient penalty.

    Args:
        fake: synthetic images (N, 1, R, R), as many as the batch's real ones.
        penalise: whether the gradient penalty counts in this step.
    Returns:
        The mean loss, and means of its parts.
    """
    real, fake = fade_real(batch.images, phase.fade), fake.detach().float()
    real_scores, real_logits, fake_scores = score_both(critic, real, fake, phase.fade)
    real_scores, fake_scores = real_scores.float(), fake_scores.float()
    labels = label_loss(real_logits.float(), batch.real_labels)
    loss = (wasserstein_loss(real_scores, fake_scores, settings.drift) + settings.label_weight * labels).mean()
    numbers = {
        "critic_loss": loss,
        "wasserstein": (real_scores - fake_scores).mean(),
        "label_loss_real": labels.mean(),
    }
    if penalise:
        norms = gradient_norm(critic, mix(real, fake, batch.mix_weights), phase.fade)
        loss = loss + penalty(norms, settings.gradient_penalty * settings.penalty_interval).mean()
        numbers["gradient_norm"] = norms.mean()
    return loss, numbers


def generator_loss(
    critic: Critic, batch: TrainingBatch, fake: Tensor, phase: Phase, settings: ProganSettings
) -> tuple[Tensor, dict[str, Tensor]]:
    """What the generator minimises: its images should score high and show the findings that were asked for.

    Args:
        fake: synthetic images of the batch's latents and labels, still tied to the generator.
    Returns:
        The mean loss, and means of its parts.
    """
    scores, logits = critic(fake, fade=phase.fade)
    labels = label_loss(logits.float(), batch.fake_labels)
    loss = (settings.label_weight * labels - scores.float()).mean()
    return loss, {"generator_loss": loss, "label_loss_fake": labels.mean()}


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
    """|d score / d image|_2 of each image, differentiable; images (N, 1, R, R) -> (N,).

    Never in mixed precision: a squared norm of bf16 gradients is not the penalty.
    """
    images = images.detach().requires_grad_(True)
    with torch.autocast(images.device.type, enabled=False):
        scores, _ = critic(images, fade=fade)
        with input_gradients_only():
            (gradients,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
        norms: Tensor = torch.linalg.vector_norm(gradients.flatten(1), dim=1)
    return norms


def wasserstein_loss(real_scores: Tensor, fake_scores: Tensor, drift: float) -> Tensor:
    """D(fake) - D(real) + drift D(real)^2; (N,), (N,) -> (N,)."""
    return fake_scores - real_scores + drift * real_scores.square()


def penalty(norms: Tensor, weight: float) -> Tensor:
    """`weight` (norm - 1)^2; (N,) -> (N,)."""
    return weight * (norms - 1).square()


def mix(real: Tensor, fake: Tensor, mix_weights: Tensor) -> Tensor:
    """A point between each real and fake image; mix_weights (N,) in [0, 1], 0 = real."""
    return torch.lerp(real, fake, mix_weights.view(-1, 1, 1, 1))


def fade_real(images: Tensor, fade: float) -> Tensor:
    """Real images faded like the generator's: `fade` of the image, the rest its doubled halving; same shape."""
    return images if fade >= 1 else torch.lerp(upsample(downsample(images)), images, fade)


def score_both(critic: Critic, real: Tensor, fake: Tensor, fade: float) -> tuple[Tensor, Tensor, Tensor]:
    """Scores and logits of the real images and scores of the fake ones, in one pass where that changes nothing.

    Real and fake images alternate, so that every group of the minibatch deviation is still of one kind.
    """
    n = len(real)
    if stddev_group(2 * n) != stddev_group(n):
        return *critic(real, fade=fade), critic(fake, fade=fade)[0]
    scores, logits = critic(torch.stack([real, fake], dim=1).flatten(0, 1), fade=fade)
    return scores[0::2], logits[0::2], scores[1::2]
