"""Adversarial examples of a chest-film classifier: projected gradient ascent on its loss (Madry et al. 2018).

A network takes images (n, 1, R, R) in grey levels 0..255 and gives logits (n, F); labels (n, F) are 1, 0, something
between for a soft label, or NaN for unknown. Examples are not rounded to whole grey levels.

The network is attacked in evaluation mode, in training too. Batch norm then uses its final statistics, unfinished
examples do not change them, and an image's example does not depend on the other images of the batch (Pang et al. 2021
find that this costs no robustness). The training step on the examples is an ordinary one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from radcommons.settings import Settings

BLACK, WHITE = 0.0, 255.0
STEPS_ACROSS = 2.5  # steps of the default size together reach any point of the ball from any other


class AttackSettings(Settings):
    """How far an image may be changed, and how long the attack searches for the worst change."""

    norm: Literal["linf", "l2"] = Field(
        "linf", description="linf bounds the change of every pixel; l2 its root mean square over the image's pixels"
    )
    epsilon: float = Field(
        2.0,
        ge=0,
        le=WHITE,
        description="size of the change, grey levels of 0..255 in either norm, so it does not depend on the side",
    )
    steps: int = Field(10, ge=1, description="gradient steps")
    step_size: float | None = Field(
        None, gt=0, le=4, description="length of a step, share of epsilon; off = 2.5 / steps (Madry et al. 2018)"
    )
    random_start: bool = Field(True, description="begin at a random point of the ball, not at the image")
    restarts: int = Field(1, ge=1, description="random starts of which each image keeps the worst example")
    loss: Literal["cross-entropy", "margin"] = Field(
        "cross-entropy", description="what the attack raises; margin = the logits themselves, which never saturate"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.restarts > 1 and not self.random_start:
            raise ValueError(f"'restarts' is {self.restarts} but random_start is off: every start would be the same")
        return self

    @property
    def step(self) -> float:
        """Length of a step in grey levels."""
        return self.epsilon * (STEPS_ACROSS / self.steps if self.step_size is None else self.step_size)


def attack(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    settings: AttackSettings,
    *,
    generator: torch.Generator,
    keep_best: bool = True,
) -> Tensor:
    """Images within epsilon of the given ones for which the network's loss is as high as gradient steps make it.

    Args:
        network: left in its mode, with its batch norm statistics, and without gradients of parameters.
        images: float (n, 1, R, R), [0, 255], on the network's device.
        labels: (n, F) in [0, 1] or NaN; an image without a known label is not changed where `keep_best`.
        settings: norm, epsilon and steps.
        generator: of the CPU, draws the random starts.
        keep_best: return for each image the worst point of all steps and restarts, the image itself included. False
            returns the end of the last restart, which saves two passes and is enough for training.
    Returns:
        float (n, 1, R, R), [0, 255].
    Source: Madry et al. 2018, section 2.1 (projected gradient descent on the negative loss).
    """
    if not settings.epsilon:
        return images
    with evaluating(network):
        example, highest = images, image_losses(network, images, labels, settings) if keep_best else None
        for _ in range(settings.restarts):
            point = start(images, settings, generator) if settings.random_start else images
            for _ in range(settings.steps):
                losses, gradients = loss_and_gradient(network, point, labels, settings)
                if highest is not None:
                    example, highest = _worse(example, highest, point, losses)
                point = project(point + settings.step * steepest(gradients, settings), images, settings)
            if highest is None:
                example = point
            else:
                losses = image_losses(network, point, labels, settings)
                example, highest = _worse(example, highest, point, losses)
    return example


def noise(images: Tensor, settings: AttackSettings, generator: torch.Generator) -> Tensor:
    """Images changed at random by as much as `attack` may change them: the baseline of a robustness curve.

    Args:
        images: float (n, 1, R, R), [0, 255].
        settings: norm and epsilon.
        generator: of the CPU.
    Returns:
        float (n, 1, R, R), [0, 255]. linf: every pixel up or down by epsilon. l2: in a random direction. Where black
        or white pixels limit the change, other pixels change more, so that it has the full size if possible.
    """
    direction = _normal(images, generator)
    if settings.norm == "linf":
        return project(images + settings.epsilon * direction.sign(), images, settings)
    return project(images + 4 * settings.epsilon * steepest(direction, settings), images, settings)


def known_bce(logits: Tensor, labels: Tensor) -> Tensor:
    """Sigmoid cross-entropy of each image, mean over its known labels.

    Args:
        logits: (n, F).
        labels: (n, F) in [0, 1] or NaN for unknown.
    Returns:
        (n,), >= 0; 0 where no label is known. It is `models.label_loss.known_cross_entropy` written with softplus,
        whose gradient stays above 0 up to logits of about 90. In float32 the other's gradient, sigmoid(z) - 1, is 0
        from 17 on, and an attack would stop there.
    """
    known = labels.nan_to_num(0.0)
    return _mean_of_known(known * F.softplus(-logits) + (1 - known) * F.softplus(logits), labels)


def known_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """How far the logits lie on the wrong side, mean over an image's known labels: (n, F), (n, F) -> (n,).

    Source: Carlini and Wagner 2017 (attack the logits, where a loss may have no gradient left).
    """
    return _mean_of_known((1 - 2 * labels.nan_to_num(0.5)) * logits, labels)


def _mean_of_known(each: Tensor, labels: Tensor) -> Tensor:
    known = ~labels.isnan()
    mean: Tensor = torch.where(known, each, 0.0).sum(dim=1) / known.sum(dim=1).clamp(min=1)
    return mean


LOSSES = {"cross-entropy": known_bce, "margin": known_margin}


def loss_and_gradient(
    network: nn.Module, images: Tensor, labels: Tensor, settings: AttackSettings
) -> tuple[Tensor, Tensor]:
    """Loss of each image, (n,), and its gradient with respect to the image's pixels, (n, 1, R, R)."""
    with torch.enable_grad():
        pixels = images.detach().requires_grad_(True)
        losses = LOSSES[settings.loss](network(pixels).float(), labels)
        (gradients,) = torch.autograd.grad(losses.sum(), pixels)
    return losses.detach(), gradients


@torch.no_grad()
def image_losses(network: nn.Module, images: Tensor, labels: Tensor, settings: AttackSettings) -> Tensor:
    """Loss of each image, (n,)."""
    return LOSSES[settings.loss](network(images).float(), labels)


def steepest(gradients: Tensor, settings: AttackSettings) -> Tensor:
    """The change of size 1 along which the loss rises most, from its gradient (n, 1, R, R); 0 where that is 0.

    linf: its signs. l2: its direction, with a root mean square of 1.
    """
    if settings.norm == "linf":
        return gradients.sign()
    largest = gradients.abs().amax(dim=(1, 2, 3), keepdim=True)
    scaled = gradients / torch.where(largest > 0, largest, 1.0)  # first: the squares of small gradients would be 0
    size = scaled.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return scaled / torch.where(size > 0, size, 1.0)


def start(images: Tensor, settings: AttackSettings, generator: torch.Generator) -> Tensor:
    """A point sampled uniformly from the ball around each image, then projected into [0, 255]."""
    if settings.norm == "linf":
        drawn = torch.rand(images.shape, generator=generator).to(images.device)
        return project(images + settings.epsilon * (2 * drawn - 1), images, settings)
    direction = steepest(_normal(images, generator), settings)
    radius = torch.rand((len(images), 1, 1, 1), generator=generator) ** (1 / images[0].numel())
    return project(images + settings.epsilon * radius.to(images.device) * direction, images, settings)


def project(points: Tensor, images: Tensor, settings: AttackSettings) -> Tensor:
    """The nearest points, in the Euclidean sense, within epsilon of the images and within [0, 255].

    l2: clip(x + s (p - x)) with the largest s in [0, 1] that keeps the root mean square within epsilon (the
    conditions of Karush, Kuhn and Tucker; s = 1 / (1 + multiplier)). Clipping after a projection onto the ball alone
    would waste the share of epsilon that pushes black pixels below black, and chest films have many.

    Args:
        points: float (n, 1, R, R).
        images: float (n, 1, R, R), [0, 255].
        settings: norm and epsilon.
    Returns:
        float (n, 1, R, R).
    """
    if settings.norm == "linf":
        near = torch.minimum(torch.maximum(points, images - settings.epsilon), images + settings.epsilon)
        return near.clamp(BLACK, WHITE)
    change = points - images
    share = _largest_share(change.flatten(1), images.flatten(1), settings.epsilon)
    return (images + share.view(-1, 1, 1, 1) * change).clamp(BLACK, WHITE)


def _largest_share(change: Tensor, images: Tensor, epsilon: float) -> Tensor:
    """The largest s in [0, 1] for which clip(images + s change) stays within epsilon; (n, P), (n, P) -> (n, 1).

    The sum over pixels of min(s^2 size^2, room^2) is concave and piecewise linear in s^2, so Newton's method from
    below, which counts the pixels that have reached black or white as constants, ends at the exact s in few rounds.
    """
    size, room = change.square(), torch.where(change > 0, WHITE - images, images - BLACK).square()
    allowed = epsilon**2 * images.shape[1]
    stopped = torch.zeros_like(size, dtype=torch.bool)
    while True:
        spent = torch.where(stopped, room, 0.0).sum(dim=1, keepdim=True)
        moving = torch.where(stopped, 0.0, size).sum(dim=1, keepdim=True)
        left = (allowed - spent).clamp(min=0)
        squared = torch.where(moving > left, left / moving, 1.0)
        now = stopped | (squared * size >= room)
        if torch.equal(now, stopped):
            return squared.sqrt()
        stopped = now


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put the network in evaluation mode for the block; afterwards every module has its own mode again."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _worse(example: Tensor, highest: Tensor, point: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
    """For each image the point with the higher loss, and that loss."""
    higher = losses > highest
    return torch.where(higher.view(-1, 1, 1, 1), point, example), torch.where(higher, losses, highest)


def _normal(images: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(images.shape, generator=generator).to(images.device)
