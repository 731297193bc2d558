"""The random part of every step, as a pure function of (seed, position): nothing to save, nothing to restore."""

from collections.abc import Generator, Iterator

import numpy as np
import torch
from torch import Tensor

from radcommons.data.store import Store
from radcommons.gan.schedule import Phase, Stage, phase_at
from radcommons.gan.steps import Draw
from radcommons.models.grey_levels import to_signed
from radcommons.runs.distributed import Distributed
from radcommons.seeds import numpy_stream, torch_stream
from radcommons.threads import open_pool


class Draws:
    """Real images in epochs of shuffled order, latents, and labels from the empirical joint distribution.

    Every process draws the whole batch's numbers and keeps every W-th, so that two processes together see exactly
    what one would.
    """

    def __init__(self, store: Store, labels: np.ndarray, rows: np.ndarray, *, seed: int, latent_size: int) -> None:
        """`rows` are the store's rows to train on; `labels` (len(rows), F) float32 with NaN = unknown."""
        self.store = store
        self.labels = torch.from_numpy(labels)
        self.rows = rows
        self.seed = seed
        self.latent_size = latent_size
        self._images: dict[int, np.ndarray] = {}
        self._epoch: tuple[int, np.ndarray] | None = None

    def at(self, step: int, images_seen: int, *, batch_size: int, resolution: int, world: Distributed) -> Draw:
        """The draw of critic step number `step`, whose first real image is number `images_seen`."""
        chosen = self._order(images_seen, batch_size)[world.rank :: world.size]
        if resolution not in self._images:
            self._images = {resolution: self.store.images(resolution)}  # only this stage's file is open
        images = torch.from_numpy(self._images[resolution][self.rows[chosen]])
        stream = torch_stream(self.seed, "step", step)
        latents = torch.randn(batch_size, self.latent_size, generator=stream)
        fake_rows = torch.randint(len(self.labels), (batch_size,), generator=stream)
        shares = torch.rand(batch_size, generator=stream)
        mine = slice(world.rank, None, world.size)

        def move(x: Tensor) -> Tensor:
            return x.pin_memory().to(world.device, non_blocking=True) if world.device.type == "cuda" else x

        return Draw(
            images=to_signed(move(images).unsqueeze(1)),
            real_labels=move(self.labels[torch.from_numpy(chosen)]),
            latents=move(latents[mine]),
            fake_labels=move(self.labels[fake_rows[mine]]),
            shares=move(shares[mine]),
        )

    def stream(
        self, plan: list[Stage], step: int, images_seen: int, world: Distributed
    ) -> Generator[tuple[Phase, Draw], None, None]:
        """The phase and draw of every critic step from `step` to the plan's end, the next one read ahead."""

        def positions(step: int, images_seen: int) -> Iterator[tuple[Phase, int, int]]:
            while images_seen < plan[-1].end:
                phase = phase_at(images_seen, plan)
                yield phase, step, images_seen
                step, images_seen = step + 1, images_seen + phase.batch_size

        def prepare(phase: Phase, step: int, images_seen: int) -> tuple[Phase, Draw]:
            batch, resolution = phase.batch_size, phase.resolution
            return phase, self.at(step, images_seen, batch_size=batch, resolution=resolution, world=world)

        with open_pool(1, with_torch=False) as reader:  # torch's setting would count for the networks' thread too
            yield from reader.map(lambda position: prepare(*position), positions(step, images_seen), ahead=1)

    def _order(self, first: int, count: int) -> np.ndarray:
        """Positions in `rows` of real images number `first` ... `first + count` of the run."""
        result = np.empty(count, np.int64)
        for i in range(count):
            epoch, place = divmod(first + i, len(self.rows))
            if self._epoch is None or self._epoch[0] != epoch:
                self._epoch = epoch, numpy_stream(self.seed, "order", epoch).permutation(len(self.rows))
            result[i] = self._epoch[1][place]
        return result
