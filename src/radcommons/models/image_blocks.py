"""A network over many grey images: blocks on threads, batches of one size, in constant memory besides the result."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from radcommons.errors import BadInput
from radcommons.progress import Track
from radcommons.threads import one_core, thread_map, threads_for


def run_over(
    network: Callable[[Tensor], Tensor],
    images: np.ndarray,
    rows: np.ndarray | None,
    *,
    width: int,
    batch: int,
    block: int,
    device: torch.device,
    name: str,
    outputs: str,
    track: Track,
    description: str,
) -> np.ndarray:
    """The network's outputs for images, float32 (n, width).

    Args:
        network: grey levels 0 ... 255, float32 (batch, 1, R, R), to (batch, width).
        images: uint8 (n, R, R), in memory or mapped; a block is read at a time.
        rows: which of the images, in this order; None for all.
        batch: images that the network always runs on together; black images fill up the last batch.
        block: images that a thread takes at a time.
        name, outputs: of the network and of what it computes, for errors.
    Raises:
        BadInput: images that are not square bytes, or an output that is not a finite number.
    """
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1] != images.shape[2]:
        raise BadInput(f"images are {images.dtype} {images.shape}; {outputs} need uint8 (n, R, R)")
    count = len(images) if rows is None else len(rows)
    values = np.empty((count, width), np.float32)
    starts = range(0, count, block)

    def run(first: int) -> np.ndarray:
        span = slice(first, min(first + block, count))
        part = images[span if rows is None else rows[span]]
        found = np.empty((len(part), width), np.float32)
        with one_core(), torch.inference_mode():
            for start in range(0, len(part), batch):
                some = part[start : start + batch]
                whole = np.zeros((batch, *part.shape[1:]), np.uint8)
                whole[: len(some)] = some
                output = network(torch.from_numpy(whole).to(device).unsqueeze(1).float())
                found[start : start + batch] = output.float().cpu().numpy()[: len(some)]
        return found

    with track(description, total=count) as advance:
        for first, found in zip(starts, thread_map(run, starts, threads=threads_for(len(starts), device)), strict=True):
            bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
            if len(bad):
                place = first + bad[0]
                raise BadInput(
                    f"{name} gives {outputs} of image row {place if rows is None else rows[place]} that are not finite "
                    "numbers; verify the images, or run on the CPU if this was a GPU"
                )
            values[first : first + len(found)] = found
            advance(len(found))
    return values
