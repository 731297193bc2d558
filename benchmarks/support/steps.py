"""One whole training step of ours on made-up images."""

from collections.abc import Callable

import torch

from radcommons.gan.networks import Networks
from radcommons.gan.schedule import Phase
from radcommons.gan.settings import TrainSettings
from radcommons.gan.steps import Draw, critic_step, generator_step
from radcommons.gan.threads import Threads

FINDINGS = 14


def draw_of(batch: int, resolution: int, latent_size: int) -> Draw:
    return Draw(
        images=torch.rand(batch, 1, resolution, resolution) * 2 - 1,
        real_labels=torch.randint(0, 2, (batch, FINDINGS)).float(),
        latents=torch.randn(batch, latent_size),
        fake_labels=torch.randint(0, 2, (batch, FINDINGS)).float(),
        shares=torch.rand(batch),
    )


def our_step(
    networks: Networks,
    optimisers: dict[str, torch.optim.Adam],
    draw: Draw,
    phase: Phase,
    settings: TrainSettings,
    threads: Threads,
    synchronise: Callable[[torch.nn.Module], None] = lambda _: None,
) -> dict[str, torch.Tensor]:
    """Critic step with penalty, generator step, moving average, in float32; returns what both say of themselves."""
    numbers, fakes = critic_step(
        networks,
        optimisers["critic"],
        draw,
        phase,
        settings,
        penalise=True,
        keep_fakes=True,
        autocast=torch.enable_grad,
        synchronise=synchronise,
        threads=threads,
    )
    return numbers | generator_step(
        networks,
        optimisers["generator"],
        fakes,
        phase,
        settings,
        autocast=torch.enable_grad,
        synchronise=synchronise,
        threads=threads,
    )
