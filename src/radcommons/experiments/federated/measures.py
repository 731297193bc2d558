"""What is measured of a generator: FID, the negative critic loss, precision, recall and coverage."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError

from radcommons.data.store import Store
from radcommons.errors import TooFewImages
from radcommons.experiments.federated.critic import negative_critic_loss
from radcommons.experiments.federated.settings import FederatedExperimentSettings
from radcommons.extractors import Extractor, extract
from radcommons.files import write_whole
from radcommons.metrics.frechet import frechet_distance
from radcommons.metrics.manifold import manifold
from radcommons.models.generator import Generator
from radcommons.records import Measures
from radcommons.resume import Kept
from radcommons.seeds import derive, numpy_stream
from radcommons.threads import thread_map, threads_for

FEWEST = 8  # films of a measure


@dataclass(frozen=True)
class Judge:
    """Measures synthetic images beside films of a store.

    Attributes:
        count: synthetic images, and real films, of each measure.
        train: training films that the critics learn from, uint8 (n, R, R).
        held_out: films of the validation and test parts, uint8 (count, R, R).
        features: of these, float32 (count, d).
        labels: of all training films, float32 (N, findings of the store).
    """

    settings: FederatedExperimentSettings
    store: Store
    extractor: Extractor
    count: int
    train: np.ndarray
    held_out: np.ndarray
    features: np.ndarray
    labels: np.ndarray

    @classmethod
    def open(cls, s: FederatedExperimentSettings, store: Store, extractor: Extractor, kept: Kept) -> "Judge":
        """Choose the films; raises TooFewImages."""
        training, rest = store.rows("train"), np.concatenate([store.rows("val"), store.rows("test")])
        count = min(s.images, len(rest), len(training))
        if count < FEWEST:
            raise TooFewImages(f"{store.path} has {len(rest)} films outside its training part; {FEWEST} are needed")
        rng = numpy_stream(s.seed, "films")
        films = store.images(s.train.resolution)
        held_out = np.asarray(films[np.sort(rng.choice(rest, count, replace=False))])
        train = np.asarray(films[rng.permutation(training)[: max(2 * count, 1_000)]])
        features = kept.array("held-out", lambda: extract(extractor, held_out).values)
        return cls(s, store, extractor, count, train, held_out, features, store.labels(training))

    def real(self) -> Measures:
        """Training films in place of synthetic images; the critic gets one half of them against the other."""
        half = len(self.train) // 2
        part = self.count // 2
        critic = negative_critic_loss(
            self.train[half:],
            self.train[:half],
            self.held_out[part:],
            self.held_out[:part],
            shown=self.settings.critic_images,
            seed=derive(self.settings.seed, "critic"),
        )
        return self._of(0, self.train[: self.count], critic, None)

    def measure(
        self, repeat: int, points: Sequence[int], generators: Sequence[Sequence[Path]],
        own_critic: Sequence[float | None], folder: Path, should_stop: Callable[[], bool],
    ) -> list[Measures] | None:  # fmt: skip
        """Measure the generators at each point, those that `folder` does not hold; None if it was stopped.

        Args:
            generators: of each point; several draw equal shares.
        """
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / f"{point:09d}.json" for point in points]
        found = [_read(file) for file in files]
        missing = [number for number, one in enumerate(found) if one is None]
        drawn = [self.draw(generators[number], repeat) for number in missing]
        seed = derive(self.settings.seed, "critic")

        def judged(images: np.ndarray) -> float:
            test, others = images[: self.count], images[self.count :]
            shown = self.settings.critic_images
            return negative_critic_loss(self.train, others, self.held_out, test, shown=shown, seed=seed)

        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        critics = thread_map(judged, drawn, threads=threads_for(len(drawn), device))
        for number, images, critic in zip(missing, drawn, critics, strict=False):
            one = self._of(points[number], images[: self.count], critic, own_critic[number])
            write_whole(files[number], one.model_dump_json() + "\n")
            found[number] = one
            if should_stop():
                return None
        return [one for one in found if one is not None]

    def draw(self, generators: Sequence[Path], repeat: int, count: int | None = None) -> np.ndarray:
        """Images of several generators in equal shares, mixed, under labels of training films; uint8 (n, R, R).

        Latent vectors and labels are the same for every arm and every point of a repeat.
        """
        count = 2 * self.count if count is None else count
        rng = numpy_stream(self.settings.seed, "drawn", repeat)
        rows = rng.integers(len(self.labels), size=count)
        side = self.settings.train.resolution
        images = np.empty((count, side, side), np.uint8)
        for number, folder in enumerate(generators):
            generator = Generator.load(folder)
            mine = np.arange(number, count, len(generators))
            columns = [self.store.findings.index(f) for f in generator.findings]
            labels = np.nan_to_num(self.labels[rows[mine]][:, columns])
            size = generator.config.latent_size
            latents = np.stack(
                [
                    numpy_stream(self.settings.seed, "latent", repeat, int(i)).standard_normal(size, np.float32)
                    for i in mine
                ]
            )
            images[mine] = _enlarged(_drawn(generator, latents, labels), side)
        return images

    def _of(self, images_seen: int, images: np.ndarray, critic: float, own_critic: float | None) -> Measures:
        values = extract(self.extractor, images).values
        found = manifold(self.features, values, neighbours=min(5, self.count - 1))
        return Measures(
            images_seen=images_seen,
            fid=frechet_distance(self.features, values),
            critic_loss=critic,
            own_critic=own_critic,
            precision=found.precision,
            recall=found.recall,
            coverage=found.coverage,
        )


def _drawn(generator: Generator, latents: np.ndarray, labels: np.ndarray) -> np.ndarray:
    size = generator.block_size

    def block(first: int) -> np.ndarray:
        return generator.draw(latents[first : first + size], labels[first : first + size])

    return np.concatenate(list(generator.on_threads(block, range(0, len(latents), size))))


def _enlarged(images: np.ndarray, side: int) -> np.ndarray:
    """Images of a generator that has not grown to its full side yet, by repetition."""
    factor = side // images.shape[-1]
    return images.repeat(factor, axis=1).repeat(factor, axis=2)


def _read(file: Path) -> Measures | None:
    try:
        return Measures.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None
