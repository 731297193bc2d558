"""The negative critic loss of finished generators: each is judged by a critic that is trained afterwards.

A generator's own critic cannot compare arms: it has moved with its generator, and each family has its own loss. So a
new critic of the paper's kind, with Wasserstein loss and gradient penalty, is trained on each set of synthetic images,
always from the same weights, on the same films and for as long. Then it scores films and images that it has not seen.

Source: Danihelka et al. 2017 (arXiv 1705.05263), the independent critic; Gulrajani et al. 2017, the loss.
"""

import copy

import numpy as np
import torch
from torch import Tensor

from radcommons.gan.recipes.progan.losses import gradient_norm, mix, penalty, score_both, wasserstein_loss
from radcommons.models.families.progan import Critic, ProganConfig
from radcommons.models.grey_levels import to_signed
from radcommons.seeds import derive, numpy_stream, torch_stream

LARGEST_SIDE = 32  # pixels; larger images are averaged down
CHANNELS = {4: 32, 8: 32, 16: 32, 32: 16}
BATCH, RATE, BETAS, PENALTY, DRIFT = 32, 0.002, (0.0, 0.99), 10.0, 0.001


def negative_critic_loss(
    real: np.ndarray, fake: np.ndarray, real_test: np.ndarray, fake_test: np.ndarray, *, shown: int, seed: int
) -> float:
    """How far apart an independent critic holds two sets of images: mean score of the real minus that of the others.

    Args:
        real, fake: images that the critic learns from, uint8 (n, R, R) and (m, R, R).
        real_test, fake_test: other images, on which it is read off.
        shown: real images shown to the critic, with as many others.
        seed: of its initial weights and batches: the same for sets that are compared.
    Returns:
        The critic loss with the opposite sign and without penalties. About 0 = the critic cannot tell them apart; it
        has the critic's own scale, so compare it only at the same films, side and `shown`.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    side = min(LARGEST_SIDE, real.shape[-1])
    critic = untrained(side, seed).to(device)
    optimiser = torch.optim.Adam(critic.parameters(), lr=RATE, betas=BETAS, eps=1e-8)
    films, images = (small(part, side).to(device) for part in (real, fake))
    rng, weights = numpy_stream(seed, "batches"), torch_stream(seed, "mixtures")
    for _ in range(-(-shown // BATCH)):
        ours, theirs = (x[torch.from_numpy(rng.integers(len(x), size=BATCH)).to(device)] for x in (films, images))
        real_scores, _, fake_scores = score_both(critic, ours, theirs, 1.0)
        between = mix(ours, theirs, torch.rand(BATCH, generator=weights).to(device))
        loss = wasserstein_loss(real_scores, fake_scores, DRIFT) + penalty(gradient_norm(critic, between, 1.0), PENALTY)
        optimiser.zero_grad()
        loss.mean().backward()
        optimiser.step()
    return _mean_score(critic, small(real_test, side).to(device)) - _mean_score(
        critic, small(fake_test, side).to(device)
    )


def untrained(side: int, seed: int) -> Critic:
    """The critic that every judgement begins with."""
    channels = {resolution: count for resolution, count in CHANNELS.items() if resolution <= side}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "weights"))
        return copy.deepcopy(Critic(ProganConfig(resolution=side, channels=channels, latent_size=1, findings=0)))


def small(images: np.ndarray, side: int) -> Tensor:
    """Grey levels uint8 (n, R, R), R a multiple or a part of `side`, as the critic sees them: (n, 1, side, side)."""
    signed = to_signed(torch.from_numpy(np.ascontiguousarray(images)).unsqueeze(1))
    return torch.nn.functional.interpolate(signed, size=(side, side), mode="area")


@torch.no_grad()
def _mean_score(critic: Critic, images: Tensor) -> float:
    return float(torch.cat([critic(block)[0] for block in images.split(BATCH)]).mean())
