"""A pool as a dataset of torch that draws as it goes."""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate, islice

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from radcommons.models.generator import Batch
from radcommons.seeds import numpy_stream
from radcommons.synthetic.sampling import SetPlan
from radcommons.threads import thread_map, threads_for

MIXED_BLOCKS = 16  # blocks whose images are mixed; a block is of one generator


class PoolStream(IterableDataset[tuple[Tensor, Tensor]]):
    """Every image of a plan once, in mixed order: image float (1, R, R) in [0, 1], labels float (F,), NaN unknown.

    The processes of a DataLoader share the images between them. Like DistributedSampler it has the same order in each
    epoch unless `set_epoch` is called before.
    """

    def __init__(self, plan: SetPlan, *, seed: int) -> None:
        self._plan, self._seed, self._epoch = plan, seed, 0
        sizes = [share.generator.block_size for share in plan.shares]
        shares = zip(plan.shares, sizes, strict=True)
        self._sizes = sizes
        self._blocks = [range(share.first // size * size, share.stop, size) for share, size in shares]
        self._ends = list(accumulate(map(len, self._blocks)))  # of each share's blocks

    def set_epoch(self, epoch: int) -> None:
        """Choose another order for the next iteration; the images stay the same."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._plan.count

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        worker = get_worker_info()
        part, parts = (worker.id, worker.num_workers) if worker else (0, 1)
        order = numpy_stream(self._seed, "blocks", self._epoch).permutation(self._ends[-1])[part::parts]
        mixing = numpy_stream(self._seed, "images", self._epoch, part)
        threads = threads_for(len(order), self._plan.shares[0].generator.device)
        drawn = thread_map(self._drawn, order, threads=threads)
        while batches := list(islice(drawn, MIXED_BLOCKS)):
            images = torch.from_numpy(np.concatenate([batch.images for batch in batches]))
            labels = torch.from_numpy(np.concatenate([batch.labels for batch in batches]))
            for place in mixing.permutation(len(images)).tolist():
                yield images[place].unsqueeze(0).float() / 255, labels[place]

    def _drawn(self, number: int) -> Batch:
        """Block `number` of the plan, cut where its share begins or ends within it."""
        which = bisect_right(self._ends, number)
        share, size = self._plan.shares[which], self._sizes[which]
        first = self._blocks[which][number - self._ends[which]]  # counted from the share's last block
        start, stop = max(share.first, first), min(share.stop, first + size)
        (batch,) = share.generator.batches(stop, choice=share.choice, seed=self._plan.seed, start=start)
        return self._plan.fitted(share, batch)
