"""The training of a progressive GAN: its networks and optimisers, one step, and the state between steps."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from radcommons.gan.batches import DataSummary, TrainingBatch
from radcommons.gan.gradients import Compute, compute_gradients
from radcommons.gan.recipe import Position, update_ema
from radcommons.gan.recipes.progan.losses import critic_loss, generator_loss
from radcommons.gan.recipes.progan.schedule import phase_at, stage_at, stages
from radcommons.gan.recipes.progan.settings import ProganSettings
from radcommons.models.families.progan import Critic, GeneratorNetwork, ProganConfig, forward_flops
from radcommons.models.layers import stddev_group
from radcommons.seeds import derive


@dataclass(slots=True)
class Networks:
    """The three networks of a run; `ema` is the generator's exponential moving average, which is published."""

    generator: GeneratorNetwork
    critic: Critic
    ema: GeneratorNetwork


class ProganTraining:
    """Critic and generator in turns (Karras et al. 2018); Adam's state begins afresh with every stage."""

    def __init__(self, settings: ProganSettings, data: DataSummary, compute: Compute) -> None:
        self.settings, self.compute = settings, compute
        self.critic_steps = settings.critic_steps
        self.plan = stages(settings)
        self.networks = build_networks(settings, len(data.label_means), compute.distributed.device)
        self.optimisers = build_optimisers(self.networks, settings)

    def batch_at(self, images_seen: int) -> tuple[int, int]:
        """Images in the batch of the step that begins there, and their side."""
        phase = phase_at(images_seen, self.plan)
        return phase.batch_size, phase.resolution

    def step(self, position: Position, batch: TrainingBatch) -> dict[str, Tensor]:
        """One step of the critic and, every `critic_steps`, one of the generator and its moving average."""
        settings, networks, compute = self.settings, self.networks, self.compute
        phase = phase_at(position.images_seen, self.plan)
        if stage_at(position.images_seen, self.plan) != stage_at(position.last_step_at, self.plan):
            self.optimisers = build_optimisers(networks, settings)
        for optimiser in self.optimisers.values():
            optimiser.param_groups[0]["lr"] = phase.learning_rate
        penalise = position.step % settings.penalty_interval == 0
        generator_too = (position.step + 1) % settings.critic_steps == 0

        def generate(part: TrainingBatch) -> Tensor:
            # the generator learns from the images that the critic has seen
            with compute.autocast(), torch.set_grad_enabled(generator_too):
                fake: Tensor = networks.generator(
                    part.latents, part.fake_labels.nan_to_num(0.0), phase.resolution, phase.fade
                )
                return fake

        flops = len(batch.images) * step_flops(networks.generator.config, phase.resolution)
        parts = batch.split(parts_of(len(batch.images), compute.threads_worth(flops)))
        fakes = compute.map(generate, parts, unchanged=networks.generator)
        pairs = list(zip(parts, fakes, strict=True))

        def of_critic(pair: tuple[TrainingBatch, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
            return critic_loss(networks.critic, *pair, phase, settings, penalise=penalise)

        numbers = compute_gradients(networks.critic, of_critic, pairs, compute)
        self.optimisers["critic"].step()
        if generator_too:

            def of_generator(pair: tuple[TrainingBatch, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
                return generator_loss(networks.critic, *pair, phase, settings)

            numbers |= compute_gradients(networks.generator, of_generator, pairs, compute, through=networks.critic)
            self.optimisers["generator"].step()
            update_ema(networks.ema, networks.generator, self.ema_decay(position.images_seen, phase.batch_size))
        return numbers

    def state(self) -> dict[str, Any]:
        """The state that, with the position, determines the rest of the run."""
        return {
            "generator": self.networks.generator.state_dict(),
            "critic": self.networks.critic.state_dict(),
            "ema": self.networks.ema.state_dict(),
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Put a state back; older checkpoints name the moving average `average`."""
        self.networks.generator.load_state_dict(state["generator"])
        self.networks.critic.load_state_dict(state["critic"])
        self.networks.ema.load_state_dict(state["ema"] if "ema" in state else state["average"])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(copy.deepcopy(state["optimisers"][name]))  # it would go on in these tensors

    def ema_decay(self, images_seen: int, images: int) -> float:
        """The same at every step."""
        return self.settings.ema_decay

    def published(self, images_seen: int) -> tuple[GeneratorNetwork, ProganConfig]:
        """The moving average, at the growth of the step that begins there."""
        phase, ema = phase_at(images_seen, self.plan), self.networks.ema
        ema.config = ema.config.model_copy(update={"grown_to": phase.resolution, "fade": phase.fade})
        return ema, ema.config

    def schedule_at(self, images_seen: int) -> dict[str, float]:
        """How far the resolution is faded in."""
        return {"fade": phase_at(images_seen, self.plan).fade}


def build_networks(settings: ProganSettings, findings: int, device: torch.device) -> Networks:
    """Freshly initialised networks; the initial weights depend on the seed only."""
    config = settings.network(findings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(settings.seed, "weights"))
        generator, critic, ema = GeneratorNetwork(config), Critic(config), GeneratorNetwork(config)
    ema.load_state_dict(generator.state_dict())
    ema.requires_grad_(False)
    layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format  # slower in training on a CPU
    for network in (generator, critic, ema):
        network.to(device=device, memory_format=layout)  # type: ignore[call-overload]  # torch's stub lacks the pair
    return Networks(generator, critic, ema)


def build_optimisers(networks: Networks, settings: ProganSettings) -> dict[str, torch.optim.Adam]:
    """Fresh Adam states, as at the start of every stage."""
    betas = (settings.adam_beta1, settings.adam_beta2)
    return {
        name: torch.optim.Adam(network.parameters(), betas=betas, eps=1e-8, fused=True)
        for name, network in (("generator", networks.generator), ("critic", networks.critic))
    }


def parts_of(batch: int, most: int) -> int:
    """In how many parts a batch is divided: at most `most`, and the groups of the minibatch deviation stay whole."""
    group = stddev_group(batch)
    return max(n for n in range(1, most + 1) if batch % n == 0 and stddev_group(batch // n) == group)


def step_flops(config: ProganConfig, resolution: int) -> int:
    """FLOPs of a critic and a generator step for one image, plainly computed."""
    generator, critic = forward_flops(config, resolution)
    return 4 * generator + 14 * critic
