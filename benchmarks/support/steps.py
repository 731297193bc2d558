"""Whole training steps of ours on made-up images."""

import torch

from radcommons.gan.batches import RANDOM, DataSummary, TrainingBatch
from radcommons.gan.recipe import Position
from radcommons.gan.recipes.progan.training import ProganTraining

FINDINGS = 14
FILMS = DataSummary(films=100_000, label_means=(0.5,) * FINDINGS)


def random_batch(size: int, resolution: int, latent_size: int, device: torch.device | str = "cpu") -> TrainingBatch:
    batch = (
        torch.rand(size, 1, resolution, resolution) * 2 - 1,
        torch.randint(0, 2, (size, FINDINGS)).float(),
        torch.randn(size, latent_size),
        torch.randint(0, 2, (size, FINDINGS)).float(),
        torch.rand(size),
        torch.rand(size, RANDOM),
    )
    return TrainingBatch(*(x.to(device) for x in batch))


def stable_position(training: ProganTraining, resolution: int) -> Position:
    """Where the resolution is faded in, at a step with the gradient penalty."""
    stable = next(stage.stable for stage in training.plan if stage.resolution == resolution)
    return Position(0, stable, stable)
