"""Two processes must make the update that one makes with the joined batch."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from radcommons.data.store import Store
from radcommons.errors import SettingRefused
from radcommons.gan import training
from radcommons.gan.batches import Batches
from radcommons.gan.gradients import compute_gradients, open_compute
from radcommons.gan.recipes.progan.losses import critic_loss
from radcommons.gan.recipes.progan.schedule import Phase
from radcommons.gan.recipes.progan.training import build_networks
from radcommons.gan.settings import TrainSettings
from radcommons.runs import checkpoint
from radcommons.runs.distributed import Distributed

CPU = torch.device("cpu")


@pytest.mark.slow
def test_two_processes_give_the_update_of_one_with_the_joined_batch(
    phantom_store: Store, tiny: Callable[..., TrainSettings], tmp_path: Path, start: Callable[..., Any]
) -> None:
    settings = tiny(total_images=96, images_per_phase=16, checkpoint_every=96)
    training.train(phantom_store, settings, tmp_path / "one")
    config = tmp_path / "settings.toml"
    settings.save(config)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "radcommons", "train", str(phantom_store.path), "--out", str(tmp_path / "two")]
    status, out, err = start([*command, "--config", config]).end()
    assert status == 0, err
    assert out.count("finished at 96 images") == 1, "one process speaks"
    one, two = (checkpoint.load(tmp_path / name, CPU) for name in ("one", "two"))
    assert one is not None and two is not None
    assert one[0]["images_seen"] == two[0]["images_seen"] == 96
    for network in ("generator", "critic", "ema"):
        for name, expected in one[0][network].items():
            torch.testing.assert_close(two[0][network][name], expected, rtol=2e-3, atol=2e-4)


def test_the_first_update_of_two_ranks_is_that_of_one_almost_to_the_bit(
    phantom_store: Store, tiny: Callable[..., TrainSettings]
) -> None:
    """Each rank's gradients are computed here in turn and averaged by hand, before Adam can magnify rounding."""
    settings = tiny()
    rows = phantom_store.rows("train")
    labels = phantom_store.labels(rows)
    phase = Phase(8, 0.5, 16, 0.001)

    def gradients(distributed: Distributed) -> list[torch.Tensor]:
        critic = build_networks(settings, labels.shape[1], CPU).critic
        generator = build_networks(settings, labels.shape[1], CPU).generator
        options = {"seed": 3, "latent_size": settings.latent_size}
        batch = Batches(phantom_store, labels, rows, distributed=distributed, **options).at(
            0, 0, batch_size=16, resolution=8
        )
        with torch.no_grad():
            fake = generator(batch.latents, batch.fake_labels.nan_to_num(0.0), 8, phase.fade)
        with open_compute("fp32", Distributed(0, 1, CPU)) as compute:
            compute_gradients(
                critic, lambda part: critic_loss(critic, part, fake, phase, settings, penalise=True), [batch], compute
            )
        return [p.grad for p in critic.parameters() if p.grad is not None]

    joined = gradients(Distributed(0, 1, CPU))
    halves = [gradients(Distributed(rank, 2, CPU)) for rank in (0, 1)]
    assert len(joined) == len(halves[0]) > 10
    for whole, first, second in zip(joined, *halves, strict=True):
        torch.testing.assert_close((first + second) / 2, whole, rtol=1e-4, atol=1e-6)


def test_a_batch_that_cannot_be_dealt_out_says_what_to_pass() -> None:
    with pytest.raises(SettingRefused, match=r"--set batch_size\.8=18"):
        Distributed(0, 3, CPU).require_divisible({4: 12, 8: 16})
