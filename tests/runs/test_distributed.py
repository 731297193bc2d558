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


ALONE_IN_A_GROUP = """
import sys
import torch
import torch.distributed as dist
from radcommons.cli import run
from radcommons.runs.distributed import Distributed

device = torch.device(sys.argv[1])
if device.type == "cuda":
    torch.cuda.set_device(device)
dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
half = Distributed(0, 2, device)  # of two, but alone in the group: the sum is its own part
layer = torch.nn.Linear(3, 2, device=device)
layer.weight.grad, layer.bias.grad = torch.full_like(layer.weight, 4.0), torch.full_like(layer.bias, 6.0)
half.mean_gradients(layer)
assert bool((layer.weight.grad == 2).all()) and bool((layer.bias.grad == 3).all())
assert half.any(True) and not half.any(False)
assert half.sum(torch.ones(2, device=device)).tolist() == [1.0, 1.0]
dist.destroy_process_group()
run(sys.argv[2:])
"""


@pytest.mark.slow
def test_one_process_of_torchrun_exchanges_and_trains_on_every_device(
    device: torch.device,
    phantom_store: Store,
    tiny: Callable[..., TrainSettings],
    tmp_path: Path,
    start: Callable[..., Any],
) -> None:
    """Over NCCL on a GPU: two processes of one GPU it would refuse."""
    (tmp_path / "alone.py").write_text(ALONE_IN_A_GROUP)
    tiny(total_images=32).save(tmp_path / "settings.toml")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1"]
    command += [str(tmp_path / "alone.py"), str(device), "train", str(phantom_store.path)]
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if device.type == "cpu" else {}
    status, out, err = start(
        [*command, "--out", str(tmp_path / "run"), "--config", str(tmp_path / "settings.toml")], **hidden
    ).end()
    assert status == 0 and "finished at 32 images" in out, err


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
