"""The networks of a run and their optimisers: built, photographed for a checkpoint, restored."""

from dataclasses import dataclass
from typing import Any

import torch

from radcommons.gan.settings import TrainSettings
from radcommons.models.families.progan import Critic, GeneratorNetwork
from radcommons.seeds import derive


@dataclass(slots=True)
class Networks:
    """The three networks of a run; `average` is the generator's moving average, the one that is published."""

    generator: GeneratorNetwork
    critic: Critic
    average: GeneratorNetwork


def build_networks(settings: TrainSettings, findings: int, device: torch.device) -> Networks:
    """Freshly initialised networks; the initial weights depend on the seed only."""
    config = settings.network(findings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(settings.seed, "weights"))
        generator, critic, average = GeneratorNetwork(config), Critic(config), GeneratorNetwork(config)
    average.load_state_dict(generator.state_dict())
    average.requires_grad_(False)
    layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format  # slower in training on a CPU
    for network in (generator, critic, average):
        network.to(device=device, memory_format=layout)  # type: ignore[call-overload]  # torch's stub lacks the pair
    return Networks(generator, critic, average)


def build_optimisers(networks: Networks, settings: TrainSettings) -> dict[str, torch.optim.Adam]:
    """Fresh Adam states, as at the start of every stage."""
    betas = (settings.adam_beta1, settings.adam_beta2)
    return {
        name: torch.optim.Adam(network.parameters(), betas=betas, eps=1e-8, fused=True)
        for name, network in (("generator", networks.generator), ("critic", networks.critic))
    }


def snapshot(networks: Networks, optimisers: dict[str, torch.optim.Adam]) -> dict[str, Any]:
    """The state that, with the position, determines the rest of the run."""
    return {
        "generator": networks.generator.state_dict(),
        "critic": networks.critic.state_dict(),
        "average": networks.average.state_dict(),
        "optimisers": {name: optimiser.state_dict() for name, optimiser in optimisers.items()},
    }


def restore(networks: Networks, optimisers: dict[str, torch.optim.Adam], state: dict[str, Any]) -> None:
    """Put a snapshot back."""
    networks.generator.load_state_dict(state["generator"])
    networks.critic.load_state_dict(state["critic"])
    networks.average.load_state_dict(state["average"])
    for name, optimiser in optimisers.items():
        optimiser.load_state_dict(state["optimisers"][name])
