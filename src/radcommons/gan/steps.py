"""One step of each network: tensors in, parameters moved, a dict of numbers out."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from radcommons.gan import losses
from radcommons.gan.networks import Networks
from radcommons.gan.schedule import Phase
from radcommons.gan.settings import TrainSettings
from radcommons.gan.threads import Threads, set_mean_gradients
from radcommons.models.families.progan import Critic, GeneratorNetwork, forward_flops
from radcommons.models.layers import downsample, stddev_group, unchanging, upsample

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

    def deal(self, parts: int) -> list["Draw"]:
        """Every `parts`-th image to each part."""
        return [Draw(*(getattr(self, f.name)[part::parts] for f in fields(self))) for part in range(parts)]


@dataclass(frozen=True, slots=True)
class Fake:
    """A part's synthetic images, still tied to the generator, and the labels they were asked to show."""

    images: Tensor
    labels: Tensor


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
    threads: Threads,
    keep_fakes: bool,
) -> tuple[dict[str, Tensor], list[Fake]]:
    """Move the critic once; returns the means of each part of its loss, and the fakes for `generator_step`.

    `keep_fakes` ties the synthetic images to the generator, whose step then needs no others: between the two steps
    the generator has not changed.
    """
    critic = networks.critic

    def part_of_it(part: Draw) -> tuple[dict[str, Tensor], Fake, tuple[Tensor | None, ...]]:
        real = fade_real(part.images, phase.fade)
        with torch.set_grad_enabled(keep_fakes), autocast():
            drawn = networks.generator(part.latents, part.fake_labels.nan_to_num(0.0), phase.resolution, phase.fade)
        fake = drawn.detach().float()
        with autocast():
            real_scores, real_logits, fake_scores = judge_both(critic, real, fake, phase.fade)
        real_scores, fake_scores = real_scores.float(), fake_scores.float()
        labels = losses.label_loss(real_logits.float(), part.real_labels)
        loss = losses.critic_loss(real_scores, fake_scores, settings.drift) + settings.label_weight * labels
        numbers = {
            "critic_loss": loss.mean(),
            "wasserstein": (real_scores - fake_scores).mean(),
            "label_loss_real": labels.mean(),
        }
        total = loss.mean()
        if penalise:  # never under autocast: a squared norm of bf16 gradients is not the penalty
            norms = losses.gradient_norm(critic, losses.mix(real, fake, part.shares), phase.fade)
            weight = settings.gradient_penalty * settings.penalty_interval
            total = total + losses.penalty(norms, weight).mean()
            numbers["gradient_norm"] = norms.mean()
        gradients = torch.autograd.grad(total, list(critic.parameters()), allow_unused=True)
        return {name: value.detach() for name, value in numbers.items()}, Fake(drawn, part.fake_labels), gradients

    parts = draw.deal(threads.parts(len(draw.images), len(draw.images) * step_flops(networks, phase.resolution)))
    with unchanging(networks.generator, critic):
        numbers, fakes, gradients = zip(*threads.map(part_of_it, parts), strict=True)
    set_mean_gradients(critic, list(gradients))
    synchronise(critic)
    optimiser.step()
    return _means(numbers), list(fakes)


def generator_step(
    networks: Networks,
    optimiser: torch.optim.Optimizer,
    fakes: list[Fake],
    phase: Phase,
    settings: TrainSettings,
    *,
    autocast: Autocast,
    synchronise: Synchronise,
    threads: Threads,
) -> dict[str, Tensor]:
    """Move the generator once and its average after it; returns the means of each part of its loss."""
    generator, critic = networks.generator, networks.critic

    def part_of_it(fake: Fake) -> tuple[dict[str, Tensor], tuple[Tensor | None, ...]]:
        with autocast():
            scores, logits = critic(fake.images, fade=phase.fade)
        labels = losses.label_loss(logits.float(), fake.labels)
        loss = (settings.label_weight * labels - scores.float()).mean()
        gradients = torch.autograd.grad(loss, list(generator.parameters()), allow_unused=True)
        return {"generator_loss": loss.detach(), "label_loss_fake": labels.mean().detach()}, gradients

    critic.requires_grad_(False)
    with unchanging(critic):
        numbers, gradients = zip(*threads.map(part_of_it, fakes), strict=True)
    critic.requires_grad_(True)
    set_mean_gradients(generator, list(gradients))
    synchronise(generator)
    optimiser.step()
    update_average(networks.average, generator, settings.average_decay)
    return _means(numbers)


def judge_both(critic: Critic, real: Tensor, fake: Tensor, fade: float) -> tuple[Tensor, Tensor, Tensor]:
    """Scores and logits of the real images and scores of the fake ones, in one pass where that changes nothing.

    Taken in turns, one real and one fake image, every group of the minibatch deviation is still of one kind.
    """
    n = len(real)
    if stddev_group(2 * n) != stddev_group(n):
        return *critic(real, fade=fade), critic(fake, fade=fade)[0]
    scores, logits = critic(torch.stack([real, fake], dim=1).flatten(0, 1), fade=fade)
    return scores[0::2], logits[0::2], scores[1::2]


def step_flops(networks: Networks, resolution: int) -> int:
    """FLOPs of a critic and a generator step for one image, plainly computed."""
    generator, critic = forward_flops(networks.generator.config, resolution)
    return 4 * generator + 14 * critic


@torch.no_grad()
def update_average(average: GeneratorNetwork, generator: GeneratorNetwork, decay: float) -> None:
    """average <- decay average + (1 - decay) generator."""
    torch._foreach_lerp_(list(average.parameters()), list(generator.parameters()), 1 - decay)


def fade_real(images: Tensor, fade: float) -> Tensor:
    """Real images faded like the generator's: `fade` of the image, the rest its doubled halving; same shape."""
    return images if fade >= 1 else torch.lerp(upsample(downsample(images)), images, fade)


def _means(parts: tuple[dict[str, Tensor], ...]) -> dict[str, Tensor]:
    return {name: torch.stack([part[name] for part in parts]).mean() for name in parts[0]}
