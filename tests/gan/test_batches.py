import torch

from radcommons.data.store import Store
from radcommons.gan.batches import Batches
from radcommons.runs.distributed import Distributed


def test_batches_read_ahead_are_those_of_their_steps(phantom_store: Store) -> None:
    rows = phantom_store.rows("train")
    alone = Distributed(0, 1, torch.device("cpu"))

    def fresh() -> Batches:
        labels = phantom_store.labels(rows)
        return Batches(phantom_store, labels, rows, seed=3, latent_size=5, distributed=alone)

    steps = [(3, 24, 8, 4), (4, 32, 8, 4), (5, 40, 4, 8)]
    read = list(fresh().stream(steps))
    assert len(read) == len(steps)
    for batch, step in zip(read, steps, strict=True):
        expected = fresh().at(*step)
        assert torch.equal(batch.images, expected.images) and torch.equal(batch.latents, expected.latents)
