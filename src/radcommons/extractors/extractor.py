"""Running an extractor over many images.

The features of an image depend on the image and the extractor only. A CPU runs one image at a time on one core, each
core its own: that is also the fastest (what passes between two layers stays in the cache), and two cores on one image
differ from one in the last bit. A GPU always runs batches of one size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from radcommons.errors import BadInput
from radcommons.extractors.features import ExtractorRecord, Features
from radcommons.progress import Track, silent
from radcommons.threads import one_core, thread_map, threads_for

GPU_BATCH = 64
CPU_BLOCK = 16  # images that a thread takes at a time


@dataclass(frozen=True)
class Extractor:
    """A network that turns grey images into feature vectors.

    Attributes:
        record: name, digest, dimension, input side and resize rule.
        prepare: grey levels 0 ... 255, float32 (n, 1, R, R), any R, to the network's input (n, 1 or 3, side, side).
        network: that input to features, (n, dimension).
        device: where it runs.
    """

    record: ExtractorRecord
    prepare: Callable[[Tensor], Tensor]
    network: Callable[[Tensor], Tensor]
    device: torch.device

    @property
    def dimension(self) -> int:
        """Numbers an image."""
        return self.record.dimension

    @property
    def block(self) -> int:
        """Images worth handing over together."""
        return CPU_BLOCK if self.device.type == "cpu" else GPU_BATCH

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Features of images.

        Args:
            images: uint8 (n, R, R), any R.
        Returns:
            float32 (n, dimension).
        """
        batch = 1 if self.device.type == "cpu" else GPU_BATCH
        values = np.empty((len(images), self.dimension), np.float32)
        with one_core():
            for first in range(0, len(images), batch):
                part = images[first : first + batch]
                values[first : first + batch] = self._run(part, batch)[: len(part)]
        return values

    @torch.inference_mode()
    def _run(self, images: np.ndarray, batch: int) -> np.ndarray:
        """Features of a batch, filled up with black images."""
        whole = np.zeros((batch, *images.shape[1:]), np.uint8)
        whole[: len(images)] = images
        grey = torch.from_numpy(whole).to(self.device).unsqueeze(1).float()
        x = self.prepare(grey).contiguous(memory_format=torch.channels_last)
        if self.device.type == "cpu":
            features = self.network(x)
        else:  # in full precision and always by the same algorithm
            with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
                features = self.network(x)
        values: np.ndarray = features.float().cpu().numpy()
        return values


def extract(
    extractor: Extractor,
    images: np.ndarray,
    *,
    rows: np.ndarray | None = None,
    track: Track = silent,
    description: str = "Extracting features",
) -> Features:
    """Features of many images, in constant memory besides the result.

    Args:
        images: uint8 (n, R, R), in memory or mapped; a block is read at a time.
        rows: which of the images, in this order; all of them by default.
        track, description: the progress shown.
    Returns:
        Features of the rows, the same whatever else is extracted beside them and on however many threads.
    Raises:
        BadInput: images that are not square bytes, or a feature that is not a finite number.
    """
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1] != images.shape[2]:
        raise BadInput(f"images are {images.dtype} {images.shape}; features need uint8 (n, R, R)")
    count = len(images) if rows is None else len(rows)
    values = np.empty((count, extractor.dimension), np.float32)
    starts = range(0, count, extractor.block)

    def block(first: int) -> tuple[int, np.ndarray]:
        span = slice(first, min(first + extractor.block, count))
        return first, extractor(images[span if rows is None else rows[span]])

    threads = threads_for(len(starts), extractor.device)
    with track(description, total=count) as advance:
        for first, found in thread_map(block, starts, threads=threads):
            _check_finite(found, partial(_row, rows, first), extractor.record.name)
            values[first : first + len(found)] = found
            advance(len(found))
    return Features(values, extractor.record)


def _row(rows: np.ndarray | None, first: int, place: int) -> int:
    """The row of `images` that stands at a place of a block."""
    return first + place if rows is None else int(rows[first + place])


def _check_finite(found: np.ndarray, row: Callable[[int], int], name: str) -> None:
    bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
    if len(bad):
        raise BadInput(
            f"{name} gives features of image row {row(int(bad[0]))} that are not finite numbers; "
            "verify the images, or run on the CPU if this was a GPU"
        )
