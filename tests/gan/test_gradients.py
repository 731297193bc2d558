"""The parts of a batch on threads of their own must make the update of the whole batch."""

from collections.abc import Callable

import pytest
import torch

from radcommons.gan.batches import RANDOM, DataSummary, TrainingBatch
from radcommons.gan.gradients import WORTH_A_THREAD, compute_gradients, open_compute, set_mean_gradients
from radcommons.gan.recipe import Position
from radcommons.gan.recipes import RECIPES, parse_settings
from radcommons.gan.recipes.progan.losses import score_both
from radcommons.gan.recipes.progan.training import ProganTraining, build_networks, parts_of
from radcommons.gan.settings import TrainSettings
from radcommons.runs.distributed import Distributed

CPU = torch.device("cpu")
ALONE = Distributed(0, 1, CPU)
THREE_FINDINGS = DataSummary(films=100, label_means=(0.5, 0.5, 0.5))
LAST = Position(step=19, images_seen=152, last_step_at=144)  # at 16 pixels, faded in; with penalty


def a_batch(n: int = 16, resolution: int = 16, findings: int = 3) -> TrainingBatch:
    torch.manual_seed(5)
    return TrainingBatch(
        images=torch.rand(n, 1, resolution, resolution) * 2 - 1,
        real_labels=torch.randint(0, 2, (n, findings)).float(),
        latents=torch.randn(n, 5),
        fake_labels=torch.randint(0, 2, (n, findings)).float(),
        mix_weights=torch.rand(n),
        random=torch.rand(n, RANDOM),
    )


@pytest.mark.parametrize(
    ("batch", "most", "parts"), [(16, 2, 2), (16, 4, 4), (16, 8, 4), (4, 2, 1), (6, 2, 2), (5, 4, 1)]
)
def test_a_batch_is_dealt_out_in_whole_groups(batch: int, most: int, parts: int) -> None:
    assert parts_of(batch, most) == parts


def test_a_small_step_is_not_worth_a_second_thread() -> None:
    torch.set_num_threads(4)
    with open_compute("fp32", ALONE) as compute:
        worth = [compute.threads_worth(flops * WORTH_A_THREAD) for flops in (0.1, 1, 2, 99)]
    torch.set_num_threads(1)
    assert worth == [1, 1, 2, 4]


def test_splitting_gives_each_part_every_second_image() -> None:
    batch = a_batch(4)
    first, second = batch.split(2)
    assert torch.equal(first.images, batch.images[[0, 2]])
    assert torch.equal(second.mix_weights, batch.mix_weights[[1, 3]])


def test_the_mean_of_the_parts_gradients_counts_an_absent_one_as_zero() -> None:
    layer = torch.nn.Linear(1, 1)
    set_mean_gradients(layer, [(torch.tensor([[4.0]]), None), (torch.tensor([[2.0]]), torch.tensor([6.0]))])
    assert layer.weight.grad is not None and layer.weight.grad.item() == 3
    assert layer.bias.grad is not None and layer.bias.grad.item() == 3
    set_mean_gradients(layer, [(None, None)])
    assert layer.weight.grad is None


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("parts", [1, 2])
def test_a_gradient_of_another_memory_layout_moves_the_weights_that_it_belongs_to(
    layout: torch.memory_format, parts: int
) -> None:
    """By the sign of each gradient, as the first step of Adam does."""
    layer = torch.nn.Conv2d(4, 5, 3, bias=False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    before, gradient = layer.weight.detach().clone(), torch.randn(5, 4, 3, 3)
    set_mean_gradients(layer, [(gradient.clone(memory_format=layout),) for _ in range(parts)])
    torch.optim.Adam(layer.parameters(), lr=0.1, betas=(0.0, 0.99), fused=True).step()
    torch.testing.assert_close(layer.weight.detach(), before - 0.1 * gradient.sign(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("family", RECIPES)
def test_after_a_step_every_gradient_lies_in_memory_as_its_parameter(family: str) -> None:
    """With enough channels for every form of the convolutions."""
    ladder = {4: 32, 8: 32, 16: 32, 32: 16}
    values = {"channels": ladder, "resolution": 32, "latent_size": 5, "total_images": 160, "batch_size": 4}
    if family == "progan":
        values |= {"images_per_phase": "off", "batch_size": dict.fromkeys(ladder, 4)}
    settings = parse_settings({"family": family, **values}, source="test")
    with open_compute("fp32", ALONE) as compute:
        trained = RECIPES[family].training(settings, THREE_FINDINGS, compute)
        trained.step(Position(40, 156, 152), a_batch(4, 32))
        optimisers = trained.optimisers.values()  # type: ignore[attr-defined]
        parameters = [p for optimiser in optimisers for p in optimiser.param_groups[0]["params"]]
    used = [p for p in parameters if p.grad is not None]
    assert len(used) > 30 and all(p.grad is not None and p.grad.stride() == p.stride() for p in used)


def test_the_gradient_is_that_of_the_mean_loss_over_the_parts() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    with open_compute("fp32", ALONE) as compute:
        numbers = compute_gradients(
            layer, lambda x: (3 * layer(x).mean(), {"x": x.mean()}), [torch.ones(2, 1), 5 * torch.ones(2, 1)], compute
        )
    assert layer.weight.grad is not None and layer.weight.grad.item() == 9  # 3 * (1 + 5) / 2
    assert numbers["x"].item() == 3


def test_a_network_that_the_loss_runs_through_gets_no_gradients_and_learns_again_afterwards() -> None:
    first, second = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    with open_compute("fp32", ALONE) as compute:
        compute_gradients(first, lambda x: (second(first(x)).sum(), {}), [torch.ones(1, 1)], compute, through=second)
    assert first.weight.grad is not None and second.weight.grad is None
    assert second.weight.requires_grad


@pytest.mark.parametrize("images_seen", [112, 152], ids=["in a fade-in", "stable"])
def test_two_threads_give_the_gradients_of_one(
    tiny: Callable[..., TrainSettings], monkeypatch: pytest.MonkeyPatch, images_seen: int
) -> None:
    monkeypatch.setattr("radcommons.gan.gradients.WORTH_A_THREAD", 1.0)
    settings = tiny(channels={4: 32, 8: 32, 16: 32}, learning_rate={4: 0.0})

    def gradients(count: int) -> list[torch.Tensor]:
        torch.set_num_threads(count)
        with open_compute("fp32", ALONE) as compute:
            assert compute.threads_worth(1e9) == count
            training = ProganTraining(settings, THREE_FINDINGS, compute)
            training.step(Position(14, images_seen, images_seen - 8), a_batch())
        torch.set_num_threads(1)
        both = [*training.networks.critic.parameters(), *training.networks.generator.parameters()]
        return [p.grad for p in both if p.grad is not None]

    whole, dealt = gradients(1), gradients(2)
    assert len(whole) == len(dealt) >= 30
    for one, two in zip(whole, dealt, strict=True):
        torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("n", [8, 6])
def test_real_and_fake_are_scored_in_one_pass_as_in_two(tiny: Callable[..., TrainSettings], n: int) -> None:
    critic = build_networks(tiny(), 3, CPU).critic
    real, fake = torch.randn(n, 1, 16, 16), 3 * torch.randn(n, 1, 16, 16)
    real_scores, logits, fake_scores = score_both(critic, real, fake, 0.5)
    torch.testing.assert_close((real_scores, logits), critic(real, fade=0.5))
    torch.testing.assert_close(fake_scores, critic(fake, fade=0.5)[0])


def test_a_step_moves_the_generator_once_in_critic_steps(tiny: Callable[..., TrainSettings]) -> None:
    with open_compute("fp32", ALONE) as compute:
        training = ProganTraining(tiny(critic_steps=2), THREE_FINDINGS, compute)
        before = training.networks.generator.dense.weight.detach().clone()
        numbers = training.step(Position(18, 144, 136), a_batch())
        assert torch.equal(training.networks.generator.dense.weight, before), "the critic's step leaves it alone"
        assert "generator_loss" not in numbers
        assert "generator_loss" in training.step(LAST, a_batch())
    assert not torch.equal(training.networks.generator.dense.weight, before)
