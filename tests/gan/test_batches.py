from collections.abc import Callable

import torch

from radcommons.data.store import Store
from radcommons.gan.batches import Batches
from radcommons.gan.recipes.progan.schedule import phase_at, stages
from radcommons.gan.settings import TrainSettings
from radcommons.runs.distributed import Distributed


def test_batches_read_ahead_are_those_of_their_steps(phantom_store: Store, tiny: Callable[..., TrainSettings]) -> None:
    settings = tiny()
    rows, plan = phantom_store.rows("train"), stages(settings)
    alone = Distributed(0, 1, torch.device("cpu"))

    def batch_at(images_seen: int) -> tuple[int, int]:
        phase = phase_at(images_seen, plan)
        return phase.batch_size, phase.resolution

    def fresh() -> Batches:
        labels = phantom_store.labels(rows)
        return Batches(phantom_store, labels, rows, seed=3, latent_size=5, distributed=alone)

    step, images_seen = 3, 24
    for batch in fresh().stream(batch_at, step, images_seen, end=settings.total_images):
        batch_size, resolution = batch_at(images_seen)
        expected = fresh().at(step, images_seen, batch_size=batch_size, resolution=resolution)
        assert torch.equal(batch.images, expected.images) and torch.equal(batch.latents, expected.latents)
        step, images_seen = step + 1, images_seen + batch_size
    assert images_seen == settings.total_images
