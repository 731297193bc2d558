"""Membership inference, white-box: can somebody who has the generator's weights rebuild films of training better?"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from radcommons.audit.inputs.material import Material
from radcommons.audit.inputs.privacy import PrivacyInputs
from radcommons.audit.neighbours.nearest import Films
from radcommons.audit.tests.membership import membership_test
from radcommons.models.generator import Generator
from radcommons.models.grey_levels import to_signed
from radcommons.records import PrivacyTest
from radcommons.resume import Kept
from radcommons.seeds import numpy_stream, torch_stream
from radcommons.threads import one_core, thread_map, threads_for

BLOCK = 16  # films inverted together
STARTS = 64  # random latents; each film begins with the one whose image is nearest
RATE = 0.05  # of Adam, for latents of unit variance
TEST = partial(
    PrivacyTest,
    kind="membership inference: white-box",
    access="weights",
    question="Can somebody who has the generator's weights tell whose films were in training?",
)


def inversion_errors(
    generator: Generator, films: np.ndarray, labels: np.ndarray, *, steps: int, seed: int
) -> Iterator[np.ndarray]:
    """How closely the generator can be made to draw each film, block by block.

    Each film's latent is moved by Adam, from the best of some random ones, to lower the squared error of the image
    drawn for it under the film's own labels (unknown = absent). A film that was memorised is rebuilt better.

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


def tests(inputs: PrivacyInputs, material: Material, work: Kept) -> Iterator[PrivacyTest]:
    """Latent inversion of the subject's generator."""
    generator, settings = material.subject.generator, inputs.settings
    if generator is None or not settings.inverted_films:
        yield TEST(skipped="a set has no weights" if generator is None else "inverted_films is 0")
        return
    rng = numpy_stream(settings.seed, "inverted films")
    inside, outside = (
        np.sort(rng.choice(count, min(settings.inverted_films, count), replace=False))
        for count in (len(inputs.real.train), len(inputs.real.held_out))
    )
    rows = np.concatenate([material.rows["train"][inside], material.rows["test"][outside]])
    images, labels = np.asarray(material.images[rows]), material.labels[rows]

    def blocks(start: int) -> Iterator[tuple[int, np.ndarray]]:
        with material.track("Latent inversion", total=len(images), done=start) as advance:
            first = start
            errors = inversion_errors(
                generator, images[start:], labels[start:], steps=settings.inversion_steps, seed=settings.seed
            )
            for found in errors:
                yield first, found
                first += len(found)
                advance(len(found))

    errors = np.asarray(work.growing("inversion", (len(images),), blocks, dtype=np.float64))
    members, others = inputs.real.train.take(inside), inputs.real.held_out.take(outside)
    yield inversion_result(errors[: len(inside)], errors[len(inside) :], members, others, inputs)


def inversion_result(
    inside: np.ndarray, outside: np.ndarray, members: Films, others: Films, inputs: PrivacyInputs
) -> PrivacyTest:
    """The attack by errors of the inversion, each beside how hard its film is to draw: its contrast in fine detail."""

    def score(errors: np.ndarray, films: Films) -> np.ndarray:
        return -np.log(errors + 1e-6) + np.log(detail(films.small) + 1e-6)

    test = membership_test(
        TEST,
        score(inside, members),
        score(outside, others),
        members.patients,
        others.patients,
        inputs,
        rng=numpy_stream(inputs.settings.seed, "inversion"),
    )
    errors = {"mean error in training": float(inside.mean()), "mean error held out": float(outside.mean())}
    return test.model_copy(update={"details": {**test.details, **errors}})


def detail(films: np.ndarray) -> np.ndarray:
    """Variance of what a blur takes away, in the generator's units; uint8 (n, S, S) -> (n,)."""
    grey = films.astype(np.float32) / 127.5
    coarse = grey.reshape(len(grey), grey.shape[1] // 4, 4, grey.shape[2] // 4, 4).mean((2, 4))
    rest: np.ndarray = (grey - coarse.repeat(4, 1).repeat(4, 2)).var((1, 2))
    return rest.astype(np.float64)
