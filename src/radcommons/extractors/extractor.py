"""Running an extractor over many images.

The features of an image depend on the image and the extractor only. A CPU runs one image at a time on one core, each
core its own: that is also the fastest (what passes between two layers stays in the cache), and two cores on one image
differ from one in the last bit. A GPU always runs batches of one size.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from radcommons.extractors.features import ExtractorRecord, Features
from radcommons.models.image_blocks import run_over
from radcommons.progress import Track, silent

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


def extract(
    extractor: Extractor,
    images: np.ndarray,
    *,
    rows: np.ndarray | None = None,
    track: Track = silent,
    description: str = "Extracting features",
) -> Features:
    """Features of many images; arguments and errors are those of `run_over`.

    Returns:
        Features of the rows; they depend neither on the other rows nor on the number of threads.
    """
    cpu = extractor.device.type == "cpu"

    def network(grey: Tensor) -> Tensor:
        x = extractor.prepare(grey).contiguous(memory_format=torch.channels_last)
        if cpu:
            return extractor.network(x)
        # in full precision and always by the same algorithm
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            return extractor.network(x)

    values = run_over(
        network,
        images,
        rows,
        width=extractor.record.dimension,
        batch=1 if cpu else GPU_BATCH,
        block=CPU_BLOCK if cpu else GPU_BATCH,
        device=extractor.device,
        name=extractor.record.name,
        outputs="features",
        track=track,
        description=description,
    )
    return Features(values, extractor.record)
