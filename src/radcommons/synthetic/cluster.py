"""Drawing on a cluster: every worker opens the generator's folder once, and draws the blocks of `Generator.batches`."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from radcommons.cluster.address import Cluster
from radcommons.errors import ClusterRefused, GeneratorRefused, PathMissing
from radcommons.models.generator import Batch, Generator, LabelChoice
from radcommons.precision import Precision
from radcommons.workers import in_order

_own = threading.local()  # of a worker's thread: the source and the generator that it opened last


@dataclass(frozen=True, slots=True)
class Source:
    """A generator as a worker finds it: absolute path, digest of the weights, kind of device; and its precision."""

    folder: Path
    digest: str
    device: str
    precision: Precision = "fp32"


@contextmanager
def batches_on_cluster(
    generator: Generator, cluster: Cluster, stop: int, *, choice: LabelChoice, seed: int, start: int = 0
) -> Iterator[Iterator[Batch]]:
    """Opens what ``generator.batches`` yields, drawn by a cluster's workers, on the kind of device that it has here.

    Raises:
        PathMissing, GeneratorRefused, ClusterRefused: a worker does not see the folder, or sees another generator
            there, or has no GPU.
        WorkerKilled: the cluster is lost.
    """
    if generator.folder is None:
        raise GeneratorRefused("a generator without a folder cannot be drawn from on a cluster; save and load it first")
    source = Source(generator.folder.absolute(), generator.digest, generator.device.type, generator.precision)
    size = generator.block_size
    blocks = range(start // size * size, stop, size)
    jobs = [(source, max(start, first), min(stop, first + size), choice, seed) for first in blocks]
    with in_order(draw_block, jobs, workers=cluster) as drawn:
        yield drawn


def draw_block(source: Source, start: int, stop: int, choice: LabelChoice, seed: int) -> Batch:
    """Images `start` ... `stop` of a seed, all of one block; runs on a worker."""
    (batch,) = _opened(source).batches(stop, choice=choice, seed=seed, start=start)
    return batch


def _opened(source: Source) -> Generator:
    """The generator at `source`, opened once by every thread, so that none waits for another."""
    found: tuple[Source, Generator] | None = getattr(_own, "opened", None)
    if found is not None and found[0] == source:
        return found[1]
    if not source.folder.exists():
        raise PathMissing(
            f"a worker of the cluster does not see {source.folder}; "
            "put the generator where every machine has it, at one path"
        )
    if source.device == "cuda" and not torch.cuda.is_available():
        raise ClusterRefused(
            "a worker of the cluster has no GPU and this machine has one; use workers with a GPU, "
            "or hide this one with CUDA_VISIBLE_DEVICES="
        )
    generator = Generator.load(source.folder, source.device, source.precision)
    if generator.digest != source.digest:
        raise GeneratorRefused(
            f"a worker of the cluster sees another generator at {source.folder}; "
            "wait for its training to end, or copy the same generator to every machine"
        )
    _own.opened = source, generator
    return generator
