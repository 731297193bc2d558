"""Attacks by somebody who holds weights: latent inversion of the generator; and, in the hospital only, the critic."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from radcommons.models.generator import Generator
from radcommons.models.grey_levels import to_signed
from radcommons.models.layers import unchanging_forever
from radcommons.runs import checkpoint
from radcommons.seeds import torch_stream
from radcommons.threads import one_core, thread_map, threads_for

BLOCK = 16  # films inverted together
STARTS = 64  # random latents; each film begins with the one whose image is nearest
RATE = 0.05  # of Adam, for latents of unit variance


def inversion_errors(
    generator: Generator, films: np.ndarray, labels: np.ndarray, *, steps: int, seed: int
) -> Iterator[np.ndarray]:
    """How closely the generator can be made to draw each film, block by block.

    Each film's latent is moved by Adam, from the best of some random ones, to lower the squared error of the image
    drawn for it under the film's own labels (unknown = absent). A film that was learned by heart is rebuilt better.

    Args:
        films: uint8 (n, R, R) at the generator's resolution.
        labels: float32 (n, F) in the generator's order, NaN unknown.
        steps: Adam steps.
        seed: of the starting latents, which are the same for every film.
    Yields:
        Mean squared error of up to BLOCK films, in the generator's units (-1 .. 1), float64 (b,).
    Source: Chen et al. 2020 (GAN-Leaks), white-box attack.
    """
    network = generator.network
    size = generator.config.latent_size
    starts = torch.randn(STARTS, size, generator=torch_stream(seed, "inversion")).to(generator.device)
    blocks = range(0, len(films), BLOCK)

    def invert(first: int) -> np.ndarray:
        target = to_signed(torch.from_numpy(np.array(films[first : first + BLOCK])).unsqueeze(1).to(generator.device))
        wanted = torch.from_numpy(np.nan_to_num(labels[first : first + BLOCK])).to(generator.device)
        with one_core():
            return _invert(network, target, wanted, starts, steps)

    yield from thread_map(invert, blocks, threads=threads_for(len(blocks), generator.device))


def _invert(network: nn.Module, target: Tensor, labels: Tensor, starts: Tensor, steps: int) -> np.ndarray:
    def error(latents: Tensor) -> Tensor:
        drawn: Tensor = network(latents, labels)
        return (drawn - target).square().mean((1, 2, 3))

    with torch.no_grad():
        first = torch.stack([error(start.expand(len(target), -1)) for start in starts])  # (STARTS, b)
    latents = starts[first.argmin(dim=0)].clone().requires_grad_(True)
    best = first.min(dim=0).values
    optimiser = torch.optim.Adam([latents], lr=RATE)
    with torch.enable_grad():
        for _ in range(steps):
            optimiser.zero_grad()
            errors = error(latents)
            errors.sum().backward()
            optimiser.step()
            best = torch.minimum(best, errors.detach())
    return best.double().cpu().numpy()


def load_critic(run: Path, generator: Generator) -> tuple[nn.Module, str] | None:
    """The critic of a run and the digest of the store that it was trained on; None where the run keeps none."""
    found = checkpoint.load(run, torch.device("cpu"))
    if found is None:
        return None
    state, _ = found
    critic = generator.family.critic(generator.config)
    critic.load_state_dict(state["critic"])
    unchanging_forever(critic)
    return critic.requires_grad_(False).eval(), state["manifest_sha256"]


def critic_scores(critic: nn.Module, images: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The critic's score of each film alone, higher = more real.

    Args:
        images: uint8 (N, R, R), may be a memory map.
        labels: float32 (N, F) in the generator's order, NaN unknown.
        rows: which of them, (n,).
    Returns:
        float64 (n,).
    """
    scores = np.empty(len(rows))
    with torch.no_grad():
        for place, row in enumerate(rows):  # one at a time: it compares the images of a batch with each other
            film = to_signed(torch.from_numpy(np.array(images[row]))[None, None])
            scores[place] = float(critic(film, torch.from_numpy(np.nan_to_num(labels[row]))[None])[0])
    return scores
