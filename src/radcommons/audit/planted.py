"""What the positive controls are made of: slightly changed films, and a generator that has memorised films."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import l1_loss

from radcommons.models.families.family import resolutions_up_to
from radcommons.models.families.progan import GeneratorNetwork, ProganConfig
from radcommons.models.generator import Generator
from radcommons.models.grey_levels import to_signed
from radcommons.progress import Track, silent
from radcommons.records import FindingsRecord, GeneratorRecord
from radcommons.seeds import derive, torch_stream
from radcommons.threads import one_core

OVERFITTED_FILMS = 60
OVERFITTED_SIDE = 64  # pixels, at most
OVERFITTED_STEPS = 400
OVERFITTED_RATE = 0.01
OVERFITTED_LATENT = 32
BATCH = 16
SPREAD = 0.2  # deviation of latents around an anchor; anchors have 1


def slightly_changed(films: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Copies as a generator might make them: blurred, shifted, noisy, of other contrast; uint8 (n, R, R), same shape.

    At 64 pixels: a blur of 0.6 pixels, a shift of up to half a pixel, noise of 3 grey levels, contrast and brightness
    changed by up to 8%.
    """
    side = films.shape[-1]
    pixel = side / 64
    changed = np.empty_like(films)
    for place, film in enumerate(films):
        shift = rng.uniform(-0.5, 0.5, 2) * pixel
        move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
        image = cv2.warpAffine(film.astype(np.float32), move, (side, side), borderMode=cv2.BORDER_REPLICATE)
        image = cv2.GaussianBlur(image, (0, 0), 0.6 * pixel)
        image = (image - 128) * rng.uniform(0.92, 1.08) + 128 + rng.uniform(-10, 10)
        changed[place] = np.rint(image + rng.normal(0, 3, image.shape)).clip(0, 255)
    return changed


@dataclass(frozen=True)
class Overfitted:
    """A generator that has memorised films: one for each anchor, near which its latents are drawn."""

    generator: Generator
    anchors: Tensor

    def draw(self, count: int, *, seed: int) -> np.ndarray:
        """`count` images, uint8 (count, R, R)."""
        stream = torch_stream(seed, "overfitted images")
        _, latents = _near(self.anchors, count, stream)
        blocks = [self.generator.draw(z.numpy(), np.zeros((len(z), 0), np.float32)) for z in latents.split(BATCH)]
        return np.concatenate(blocks)


def overfitted_generator(films: np.ndarray, *, seed: int, track: Track = silent) -> Overfitted:
    """Fit a generator to draw each film from around an anchor of its own, by least absolute error, and nothing else.

    Args:
        films: uint8 (n, R, R).
        seed: of weights, anchors and latents.
    """
    resolution = min(OVERFITTED_SIDE, films.shape[-1])
    if resolution < films.shape[-1]:
        films = np.stack([cv2.resize(f, (resolution, resolution), interpolation=cv2.INTER_AREA) for f in films])
    channels = {r: max(16, min(96, 1024 // r)) for r in resolutions_up_to(resolution)}
    config = ProganConfig(resolution=resolution, channels=channels, latent_size=OVERFITTED_LATENT, findings=0)
    stream = torch_stream(seed, "overfitted")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "overfitted", "weights"))
        network = GeneratorNetwork(config)
    targets = to_signed(torch.from_numpy(np.array(films)).unsqueeze(1))
    anchors = torch.randn(len(films), OVERFITTED_LATENT, generator=stream)
    optimiser = torch.optim.Adam(network.parameters(), lr=OVERFITTED_RATE, betas=(0.0, 0.99))
    nothing = torch.zeros(BATCH, 0)
    with (
        track("Overfitting a control", total=OVERFITTED_STEPS, unit="steps") as advance,
        torch.enable_grad(),
        one_core(),
    ):
        for step in range(OVERFITTED_STEPS):
            optimiser.param_groups[0]["lr"] = OVERFITTED_RATE * min(1.0, 2 - 2 * step / OVERFITTED_STEPS)
            which, latents = _near(anchors, BATCH, stream)
            optimiser.zero_grad()
            l1_loss(network(latents, nothing, resolution), targets[which]).backward()
            optimiser.step()
            advance(1)
    record = GeneratorRecord(
        architecture="progan",
        name="overfitted control",
        network=config.model_dump(mode="json"),
        resolution=resolution,
        images_seen=OVERFITTED_STEPS * BATCH,
        weights_sha256="0" * 64,
    )
    findings = FindingsRecord(findings=(), combinations=(((), len(films)),), smallest_cell=1)
    generator = Generator(network.requires_grad_(False).eval(), record, findings, torch.device("cpu"))
    return Overfitted(generator, anchors)


def _near(anchors: Tensor, count: int, stream: torch.Generator) -> tuple[Tensor, Tensor]:
    """`count` random anchors' numbers, and latents near them."""
    which = torch.randint(len(anchors), (count,), generator=stream)
    return which, anchors[which] + SPREAD * torch.randn(count, anchors.shape[1], generator=stream)
