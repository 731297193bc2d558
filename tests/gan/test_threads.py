"""The parts of a batch on threads of their own must make the update of the whole batch."""

from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch

from radcommons.data.store import Store
from radcommons.gan.batches import Draws
from radcommons.gan.networks import build_networks, build_optimisers
from radcommons.gan.schedule import Phase, phase_at, stages
from radcommons.gan.settings import TrainSettings
from radcommons.gan.steps import Draw, critic_step, generator_step, judge_both
from radcommons.gan.threads import WORTH_A_THREAD, Threads, open_threads, set_mean_gradients
from radcommons.runs.distributed import Distributed

CPU = torch.device("cpu")


def a_draw(n: int = 16, resolution: int = 16, findings: int = 3) -> Draw:
    torch.manual_seed(5)
    return Draw(
        images=torch.rand(n, 1, resolution, resolution) * 2 - 1,
        real_labels=torch.randint(0, 2, (n, findings)).float(),
        latents=torch.randn(n, 5),
        fake_labels=torch.randint(0, 2, (n, findings)).float(),
        shares=torch.rand(n),
    )


@pytest.mark.parametrize(
    ("batch", "threads", "parts"), [(16, 2, 2), (16, 4, 4), (16, 8, 4), (4, 2, 1), (6, 2, 2), (5, 4, 1)]
)
def test_a_batch_is_dealt_out_in_whole_groups(batch: int, threads: int, parts: int) -> None:
    assert Threads(threads, None).parts(batch, 1e15) == parts


def test_a_small_step_is_not_worth_a_second_thread() -> None:
    assert Threads(4, None).parts(16, WORTH_A_THREAD) == 1
    assert Threads(4, None).parts(16, 2 * WORTH_A_THREAD) == 2


def test_dealing_gives_each_part_every_second_image() -> None:
    draw = a_draw(4)
    first, second = draw.deal(2)
    assert torch.equal(first.images, draw.images[[0, 2]]) and torch.equal(second.shares, draw.shares[[1, 3]])


def test_the_mean_of_the_parts_gradients_counts_an_absent_one_as_zero() -> None:
    layer = torch.nn.Linear(1, 1)
    set_mean_gradients(layer, [(torch.tensor([[4.0]]), None), (torch.tensor([[2.0]]), torch.tensor([6.0]))])
    assert layer.weight.grad is not None and layer.weight.grad.item() == 3
    assert layer.bias.grad is not None and layer.bias.grad.item() == 3
    set_mean_gradients(layer, [(None, None)])
    assert layer.weight.grad is None


@pytest.mark.parametrize("fade", [0.4, 1.0])
def test_two_threads_give_the_gradients_of_one(
    tiny: Callable[..., TrainSettings], monkeypatch: pytest.MonkeyPatch, fade: float
) -> None:
    monkeypatch.setattr("radcommons.gan.threads.WORTH_A_THREAD", 1.0)
    settings = tiny(channels={4: 32, 8: 32, 16: 32})
    phase = Phase(16, fade, 16, 0.001)

    def gradients(count: int) -> list[torch.Tensor]:
        networks = build_networks(settings, 3, CPU)
        still = {
            name: torch.optim.SGD(network.parameters(), lr=0.0)
            for name, network in (("generator", networks.generator), ("critic", networks.critic))
        }
        common = {"autocast": nullcontext, "synchronise": lambda _: None}
        with open_threads(CPU, count) as threads:
            assert threads.parts(16, 1e9) == count
            _, fakes = critic_step(
                networks,
                still["critic"],
                a_draw(),
                phase,
                settings,
                penalise=True,
                keep_fakes=True,
                threads=threads,
                **common,
            )
            generator_step(networks, still["generator"], fakes, phase, settings, threads=threads, **common)
        both = [*networks.critic.parameters(), *networks.generator.parameters()]
        return [p.grad for p in both if p.grad is not None]

    whole, dealt = gradients(1), gradients(2)
    assert len(whole) == len(dealt) >= 30
    for one, two in zip(whole, dealt, strict=True):
        torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-6)
    assert torch.get_num_threads() == 1, "as before"


@pytest.mark.parametrize("n", [8, 6])
def test_real_and_fake_are_judged_in_one_pass_as_in_two(tiny: Callable[..., TrainSettings], n: int) -> None:
    critic = build_networks(tiny(), 3, CPU).critic
    real, fake = torch.randn(n, 1, 16, 16), 3 * torch.randn(n, 1, 16, 16)
    real_scores, logits, fake_scores = judge_both(critic, real, fake, 0.5)
    torch.testing.assert_close((real_scores, logits), critic(real, fade=0.5))
    torch.testing.assert_close(fake_scores, critic(fake, fade=0.5)[0])


def test_the_generator_learns_from_the_fakes_of_the_critics_step(tiny: Callable[..., TrainSettings]) -> None:
    settings = tiny()
    networks = build_networks(settings, 3, CPU)
    optimisers = build_optimisers(networks, settings)
    before = networks.generator.dense.weight.detach().clone()
    common = {"autocast": nullcontext, "synchronise": lambda _: None, "threads": Threads(1, None)}
    phase = Phase(16, 1.0, 16, 0.001)
    _, fakes = critic_step(
        networks, optimisers["critic"], a_draw(), phase, settings, penalise=True, keep_fakes=True, **common
    )
    assert torch.equal(networks.generator.dense.weight, before), "the critic's step leaves the generator alone"
    generator_step(networks, optimisers["generator"], fakes, phase, settings, **common)
    assert not torch.equal(networks.generator.dense.weight, before)


def test_draws_read_ahead_are_those_of_their_steps(phantom_store: Store, tiny: Callable[..., TrainSettings]) -> None:
    settings = tiny()
    rows = phantom_store.rows("train")
    world, plan = Distributed(0, 1, CPU), stages(settings)

    def fresh() -> Draws:
        return Draws(phantom_store, phantom_store.labels(rows), rows, seed=3, latent_size=5)

    step, images_seen = 3, 24
    for phase, draw in fresh().stream(plan, step, images_seen, world):
        assert phase == phase_at(images_seen, plan)
        alone = fresh().at(step, images_seen, batch_size=phase.batch_size, resolution=phase.resolution, world=world)
        assert torch.equal(draw.images, alone.images) and torch.equal(draw.latents, alone.latents)
        step, images_seen = step + 1, images_seen + phase.batch_size
    assert images_seen == settings.total_images
