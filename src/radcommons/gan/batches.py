"""The batches of a training, as a pure function of (seed, position): nothing to save, nothing to restore."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass, field, fields

import numpy as np
import torch
from torch import Tensor

from radcommons.data.store import Store
from radcommons.models.grey_levels import to_signed
from radcommons.runs.distributed import Distributed
from radcommons.seeds import numpy_stream, torch_stream
from radcommons.threads import open_pool

RANDOM = 22  # numbers for each pair of a real and a synthetic image, for what a family draws besides


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """Everything random that a step needs, on the device.

    Shapes: images (N, 1, R, R), real, in [-1, 1]; real_labels (N, F) with NaN = unknown; latents (N, L), standard
    normal; fake_labels (N, F) with NaN = unknown, for the synthetic images; mix_weights (N,) and random (N, RANDOM),
    uniform in [0, 1).
    """

    images: Tensor
    real_labels: Tensor
    latents: Tensor
    fake_labels: Tensor
    mix_weights: Tensor
    random: Tensor

    def split(self, parts: int) -> list["TrainingBatch"]:
        """Every `parts`-th image to each part."""
        return [TrainingBatch(*(getattr(self, f.name)[part::parts] for f in fields(self))) for part in range(parts)]


@dataclass(frozen=True, slots=True)
class DataSummary:
    """What a training needs to know of its films beforehand.

    Attributes:
        films: number of training films, of all sites together.
        label_means: mean of each finding over the films where it is known.
    """

    films: int
    label_means: tuple[float, ...]


@dataclass
class Batches:
    """Real images in epochs of shuffled order, latents, and labels from the empirical joint distribution.

    Every process makes the whole batch's random numbers and keeps every W-th, so that two processes together see
    exactly what one would.

    Attributes:
        labels: of `rows`, float32 (len(rows), F) with NaN = unknown.
        rows: the store's rows to train on.
    """

    store: Store
    labels: np.ndarray
    rows: np.ndarray
    seed: int
    latent_size: int
    distributed: Distributed
    _images: dict[int, np.ndarray] = field(default_factory=dict, init=False)
    _epoch: tuple[int, np.ndarray] | None = field(default=None, init=False)

    def summary(self) -> DataSummary:
        """What a training needs to know of these films beforehand."""
        means = torch.from_numpy(self.labels).double().nanmean(dim=0).nan_to_num(0.0)
        return DataSummary(len(self.rows), tuple(means.tolist()))

    def at(self, step: int, images_seen: int, batch_size: int, resolution: int) -> TrainingBatch:
        """This process's part of the batch of step number `step`, whose first real image is number `images_seen`."""
        mine = slice(self.distributed.rank, None, self.distributed.size)
        chosen = self._order(images_seen, batch_size)[mine]
        if resolution not in self._images:
            self._images = {resolution: self.store.images(resolution)}  # only this stage's file is open
        images = torch.from_numpy(self._images[resolution][self.rows[chosen]])
        stream = torch_stream(self.seed, "step", step)
        latents = torch.randn(batch_size, self.latent_size, generator=stream)
        fake_rows = torch.randint(len(self.labels), (batch_size,), generator=stream)
        mix_weights = torch.rand(batch_size, generator=stream)
        random = torch.rand(batch_size, RANDOM, generator=stream)
        device = self.distributed.device

        def move(x: Tensor) -> Tensor:
            return x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else x

        return TrainingBatch(
            images=to_signed(move(images).unsqueeze(1)),
            real_labels=move(torch.from_numpy(self.labels[chosen])),
            latents=move(latents[mine]),
            fake_labels=move(torch.from_numpy(self.labels[fake_rows[mine].numpy()])),
            mix_weights=move(mix_weights[mine]),
            random=move(random[mine]),
        )

    def stream(self, steps: Iterable[tuple[int, int, int, int]]) -> Generator[TrainingBatch, None, None]:
        """The batch of every step, as `recipe.upcoming` lists them; the next one is read ahead."""
        with open_pool(1, with_torch=False) as reader:  # torch's setting would count for the networks' thread too
            yield from reader.map(lambda step: self.at(*step), steps, ahead=1)

    def _order(self, first: int, count: int) -> np.ndarray:
        """Positions in `rows` of real images number `first` ... `first + count` of the run."""
        result = np.empty(count, np.int64)
        for i in range(count):
            epoch, place = divmod(first + i, len(self.rows))
            if self._epoch is None or self._epoch[0] != epoch:
                self._epoch = epoch, numpy_stream(self.seed, "order", epoch).permutation(len(self.rows))
            result[i] = self._epoch[1][place]
        return result
