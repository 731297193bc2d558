"""The random part of every step, as a pure function of (seed, position): nothing to save, nothing to restore."""

import numpy as np
import torch
from torch import Tensor

from radcommons.data.store import Store
from radcommons.seeds import numpy_stream, torch_stream
from radcommons.train.steps import Draw
from radcommons.train.world import World


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

    def at(self, step: int, images_seen: int, *, batch_size: int, resolution: int, world: World) -> Draw:
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
            return x.to(world.device, non_blocking=True)

        return Draw(
            images=to_signed(move(images).unsqueeze(1)),
            real_labels=move(self.labels[torch.from_numpy(chosen)]),
            latents=move(latents[mine]),
            fake_labels=move(self.labels[fake_rows[mine]]),
            shares=move(shares[mine]),
        )

    def fresh_latents(self, step: int, draw: Draw, *, batch_size: int, world: World) -> Draw:
        """The same draw with latents and labels of its own for the generator's step."""
        stream = torch_stream(self.seed, "generator-step", step)
        mine = slice(world.rank, None, world.size)
        latents = torch.randn(batch_size, self.latent_size, generator=stream)[mine]
        fake_rows = torch.randint(len(self.labels), (batch_size,), generator=stream)[mine]
        return Draw(
            images=draw.images,
            real_labels=draw.real_labels,
            latents=latents.to(world.device),
            fake_labels=self.labels[fake_rows].to(world.device),
            shares=draw.shares,
        )

    def _order(self, first: int, count: int) -> np.ndarray:
        """Positions in `rows` of real images number `first` ... `first + count` of the run."""
        result = np.empty(count, np.int64)
        for i in range(count):
            epoch, place = divmod(first + i, len(self.rows))
            if self._epoch is None or self._epoch[0] != epoch:
                self._epoch = epoch, numpy_stream(self.seed, "order", epoch).permutation(len(self.rows))
            result[i] = self._epoch[1][place]
        return result


def to_signed(images: Tensor) -> Tensor:
    """uint8 0 .. 255 to float32 -1 .. 1, same shape."""
    return images.float() / 127.5 - 1
