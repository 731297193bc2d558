"""Whole training steps of ours on made-up images."""

import torch

from radcommons.gan.batches import TrainingBatch
from radcommons.gan.recipe import Position
from radcommons.gan.recipes.progan.training import ProganTraining

FINDINGS = 14


def random_batch(size: int, resolution: int, latent_size: int) -> TrainingBatch:
    return TrainingBatch(
        images=torch.rand(size, 1, resolution, resolution) * 2 - 1,
        real_labels=torch.randint(0, 2, (size, FINDINGS)).float(),
        latents=torch.randn(size, latent_size),
        fake_labels=torch.randint(0, 2, (size, FINDINGS)).float(),
        mix_weights=torch.rand(size),
    )


def stable_position(training: ProganTraining, resolution: int) -> Position:
    """Where the resolution is faded in, at a step with the gradient penalty."""
    stable = next(stage.stable for stage in training.plan if stage.resolution == resolution)
    return Position(0, stable, stable)
