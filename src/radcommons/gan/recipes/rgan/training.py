"""The training of an `rgan`: its networks and optimisers, one step, and the state between steps."""

import copy
import math
from typing import Any

import torch
from torch import Tensor

from radcommons.gan.batches import DataSummary, TrainingBatch
from radcommons.gan.gradients import Compute, compute_gradients
from radcommons.gan.recipe import Position, Stage, update_ema
from radcommons.gan.recipes.rgan.augmentation import ENTRIES, augment
from radcommons.gan.recipes.rgan.losses import Pairs, critic_loss, generator_loss
from radcommons.gan.recipes.rgan.settings import RganSettings
from radcommons.models.families.rgan import Critic, GeneratorNetwork, RganConfig, centred, forward_flops
from radcommons.seeds import derive

WEAKENED = 0.25  # share of the pairs whose labels are moved towards the mean, so that labels in between are seen


def stages(settings: RganSettings) -> list[Stage]:
    """One: the full resolution from the first image to the last."""
    total = settings.total_images
    return [Stage(settings.resolution, 0, 0, total, settings.batch_size, settings.learning_rate)]


class RganTraining:
    """Critic and generator in turns on pairs of a real and a synthetic image under the same labels."""

    critic_steps = 1

    def __init__(self, settings: RganSettings, data: DataSummary, compute: Compute) -> None:
        self.settings, self.compute = settings, compute
        self.probability = settings.augmentation_for(data.films)
        self.config = settings.network(len(data.label_means))
        device = compute.distributed.device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(settings.seed, "weights"))
            self.generator, self.critic = GeneratorNetwork(self.config), Critic(self.config)
            self.ema = GeneratorNetwork(self.config)
        for network in (self.generator, self.critic):
            network.label_means.copy_(torch.tensor(data.label_means))
        self.ema.load_state_dict(self.generator.state_dict())
        self.ema.requires_grad_(False)
        for network in (self.generator, self.critic, self.ema):
            network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
        betas = (0.0, settings.adam_beta2)
        self.optimisers = {
            name: torch.optim.Adam(network.parameters(), betas=betas, eps=1e-8, fused=True)
            for name, network in (("generator", self.generator), ("critic", self.critic))
        }

    def batch_at(self, images_seen: int) -> tuple[int, int]:
        """Images in the batch of the step that begins there, and their side."""
        return self.settings.batch_size, self.settings.resolution

    def step(self, position: Position, batch: TrainingBatch) -> dict[str, Tensor]:
        """One step of the critic, one of the generator and its moving average."""
        settings, compute, seen = self.settings, self.compute, position.images_seen
        schedule = self.schedule_at(seen)
        for optimiser in self.optimisers.values():
            optimiser.param_groups[0]["lr"] = schedule["learning_rate"]
        strength = schedule["label_strength"]
        for network in (self.generator, self.critic):
            network.config = self.config.model_copy(update={"label_strength": strength})
        penalise = position.step % settings.penalty_interval == 0
        gamma = schedule["gamma"] * settings.penalty_interval if penalise else 0.0

        def draw(part: TrainingBatch) -> Pairs:
            means = self.generator.label_means
            labels = weakened(part.real_labels, means, part.mix_weights)
            with compute.autocast():
                fake = self.generator(part.latents, labels)
            real_random, fake_random = part.random.split(ENTRIES, dim=1)
            return Pairs(
                augment(part.images, real_random, self.probability),
                augment(fake.float(), fake_random, self.probability),
                labels,
                other_labels=means + centred(part.fake_labels, means),
            )

        flops = len(batch.images) * 12 * forward_flops(self.config)
        parts = batch.split(math.gcd(len(batch.images), compute.threads_worth(flops)))
        drawn = compute.map(draw, parts, unchanged=self.generator)

        def of_critic(pairs: Pairs) -> tuple[Tensor, dict[str, Tensor]]:
            return critic_loss(self.critic, pairs, gamma=gamma, label_weight=settings.label_weight)

        def of_generator(pairs: Pairs) -> tuple[Tensor, dict[str, Tensor]]:
            return generator_loss(self.critic, pairs)

        numbers = compute_gradients(self.critic, of_critic, drawn, compute)
        self.optimisers["critic"].step()
        numbers |= compute_gradients(self.generator, of_generator, drawn, compute, through=self.critic)
        self.optimisers["generator"].step()
        update_ema(self.ema, self.generator, self.ema_decay(seen, settings.batch_size))
        return numbers

    def state(self) -> dict[str, Any]:
        """The state that, with the position, determines the rest of the run."""
        return {
            "generator": self.generator.state_dict(),
            "critic": self.critic.state_dict(),
            "ema": self.ema.state_dict(),
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Put such a state back."""
        self.generator.load_state_dict(state["generator"])
        self.critic.load_state_dict(state["critic"])
        self.ema.load_state_dict(state["ema"])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(copy.deepcopy(state["optimisers"][name]))  # it would go on in these tensors

    def ema_decay(self, images_seen: int, images: int) -> float:
        """By its half-life in images, which early in training is a twentieth of the images seen."""
        half_life = min(self.settings.ema_half_life, max(1.0, images_seen / 20))
        return float(0.5 ** (images / half_life))

    def published(self, images_seen: int) -> tuple[GeneratorNetwork, RganConfig]:
        """The moving average, with the label strength of the step that begins there."""
        strength = self.schedule_at(images_seen)["label_strength"]
        self.ema.config = self.config.model_copy(update={"label_strength": strength})
        return self.ema, self.ema.config

    def schedule_at(self, images_seen: int) -> dict[str, float]:
        """Learning rate, weight of the penalties, strength of the labels."""
        settings = self.settings
        share = images_seen / settings.total_images
        late = max(1e-9, settings.labels_full - settings.labels_from)
        return {
            "learning_rate": falling(settings.learning_rate, settings.last_learning_rate, share),
            "gamma": falling(settings.gamma, settings.last_gamma, share),
            "label_strength": min(1.0, max(0.0, (share - settings.labels_from) / late)),
        }


def falling(first: float, last: float, share: float) -> float:
    """From `first` to `last` along half a cosine; `share` of the way, in [0, 1]."""
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


def weakened(labels: Tensor, means: Tensor, random: Tensor) -> Tensor:
    """Labels, a quarter of them moved towards their means by a random share, the unknown ones onto them.

    Args:
        labels: (N, F), NaN = unknown.
        means: (F,).
        random: (N,), uniform in [0, 1).
    """
    factor = torch.where(random < WEAKENED, random / WEAKENED, 1.0)
    return means + centred(labels, means) * factor[:, None]
