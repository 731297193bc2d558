"""One step of each network: tensors in, parameters moved, a dict of numbers out."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from radcommons.models.layers import downsample, upsample
from radcommons.models.progan import GeneratorNetwork
from radcommons.train import losses
from radcommons.train.networks import Networks
from radcommons.train.schedule import Phase
from radcommons.train.settings import TrainSettings

Autocast = Callable[[], AbstractContextManager[None]]
Synchronise = Callable[[torch.nn.Module], None]


@dataclass(frozen=True, slots=True)
class Draw:
    """The random part of a step: real images, their labels, latents and mixing shares, on the device.

    Shapes: images (N, 1, R, R) in [-1, 1]; real_labels (N, F) with NaN = unknown; latents (N, L);
    fake_labels (N, F) with NaN = unknown; shares (N,) in [0, 1].
    """

    images: Tensor
    real_labels: Tensor
    latents: Tensor
    fake_labels: Tensor
    shares: Tensor


def critic_step(
    networks: Networks,
    optimiser: torch.optim.Optimizer,
    draw: Draw,
    phase: Phase,
    settings: TrainSettings,
    *,
    penalise: bool,
    autocast: Autocast,
    synchronise: Synchronise,
) -> dict[str, Tensor]:
    """Move the critic once; returns the means of each part of its loss."""
    critic = networks.critic
    real = fade_real(draw.images, phase.fade)
    with torch.no_grad(), autocast():
        fake = networks.generator(draw.latents, draw.fake_labels.nan_to_num(0.0), phase.resolution, phase.fade).float()
    with autocast():
        real_scores, real_logits = critic(real, phase.fade)
        fake_scores, _ = critic(fake, phase.fade)
    real_scores, fake_scores = real_scores.float(), fake_scores.float()
    labels = losses.label_loss(real_logits.float(), draw.real_labels)
    loss = losses.critic_loss(real_scores, fake_scores, settings.drift) + settings.label_weight * labels
    numbers = {
        "critic_loss": loss.mean(),
        "wasserstein": (real_scores - fake_scores).mean(),
        "label_loss_real": labels.mean(),
    }
    total = loss.mean()
    if penalise:  # never under autocast: a squared norm of bf16 gradients is not the penalty
        norms = losses.gradient_norm(critic, losses.mix(real, fake, draw.shares), phase.fade)
        weight = settings.gradient_penalty * settings.penalty_interval
        total = total + losses.penalty(norms, weight).mean()
        numbers["gradient_norm"] = norms.mean()
    optimiser.zero_grad(set_to_none=True)
    total.backward()
    synchronise(critic)
    optimiser.step()
    return {name: value.detach() for name, value in numbers.items()}


def generator_step(
    networks: Networks,
    optimiser: torch.optim.Optimizer,
    draw: Draw,
    phase: Phase,
    settings: TrainSettings,
    *,
    autocast: Autocast,
    synchronise: Synchronise,
) -> dict[str, Tensor]:
    """Move the generator once and its average after it; returns the means of each part of its loss."""
    networks.critic.requires_grad_(False)
    with autocast():
        fake = networks.generator(draw.latents, draw.fake_labels.nan_to_num(0.0), phase.resolution, phase.fade)
        scores, logits = networks.critic(fake, phase.fade)
    labels = losses.label_loss(logits.float(), draw.fake_labels)
    loss = (settings.label_weight * labels - scores.float()).mean()
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    networks.critic.requires_grad_(True)
    synchronise(networks.generator)
    optimiser.step()
    update_average(networks.average, networks.generator, settings.average_decay)
    return {"generator_loss": loss.detach(), "label_loss_fake": labels.mean().detach()}


@torch.no_grad()
def update_average(average: GeneratorNetwork, generator: GeneratorNetwork, decay: float) -> None:
    """average <- decay average + (1 - decay) generator."""
    torch._foreach_lerp_(list(average.parameters()), list(generator.parameters()), 1 - decay)


def fade_real(images: Tensor, fade: float) -> Tensor:
    """Real images faded like the generator's: `fade` of the image, the rest its doubled halving; same shape."""
    return images if fade >= 1 else torch.lerp(upsample(downsample(images)), images, fade)
