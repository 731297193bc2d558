import copy
from collections.abc import Callable

import pytest
import torch

from radcommons.data.store import Store
from radcommons.federated.settings import SimulationSettings
from radcommons.federated.task import Kept, Order, after_round, local_round, move_ema, round_steps, seed_of, weights_of
from radcommons.gan.gradients import open_compute
from radcommons.gan.recipe import Position, TrainingState, advance, upcoming
from radcommons.gan.recipes import RECIPES
from radcommons.gan.training import open_source
from radcommons.runs.distributed import Distributed

ALONE = Distributed(0, 1, torch.device("cpu"))
Make = Callable[..., SimulationSettings]


def order_of(settings: SimulationSettings, store: Store, **changes: object) -> Order:
    source = open_source(store, settings.train, ALONE)
    summary = source.batches.summary()
    values = {
        "settings": settings, "findings": source.findings.findings, "films": summary.films,
        "label_means": summary.label_means, "round": 1, "position": Position(), "sites": 1, "numbers": {1: 0},
    }  # fmt: skip
    return Order(**(values | changes))


def test_rounds_of_one_client_equal_a_training_alone(family: str, federation: Make, phantom_store: Store) -> None:
    settings = federation(family, clients=1)
    source = open_source(phantom_store, settings.train, ALONE, seed=seed_of(settings, 0))
    order = order_of(settings, phantom_store)
    with open_compute("fp32", ALONE) as compute:
        alone = TrainingState(family, RECIPES[family].training(settings.train, order.summary, compute))
        weights, kept = copy.deepcopy(weights_of(alone.training.state(), settings, len(order.findings))), None
        position, rounds = Position(), 0
        while position.images_seen < settings.train.total_images:
            rounds += 1
            asked = order.model_copy(update={"round": rounds, "position": position})
            sent, kept, films, _ = local_round(asked, weights, kept, source, compute)
            weights, kept = copy.deepcopy(sent), copy.deepcopy(kept)
            position = after_round(settings, alone.training, position, 1, 1)
            assert kept.films == position.images_seen and films > 0
        end = settings.train.total_images
        advance(alone, source.batches.stream(upcoming(alone.training, Position(), end=end)), 10**6)
    expected = alone.training.state()
    assert rounds > 2
    for network, state in weights.items():
        for name, value in state.items():
            assert torch.equal(value, expected[network][name]), name


def test_the_same_as_by_a_checkpoint_on_the_way(family: str, federation: Make, phantom_store: Store) -> None:
    settings = federation(family, clients=1)
    source = open_source(phantom_store, settings.train, ALONE)
    order = order_of(settings, phantom_store)
    with open_compute("fp32", ALONE) as compute:
        begun = RECIPES[family].training(settings.train, order.summary, compute).state()
        weights = weights_of(begun, settings, len(order.findings))
        first, kept, _, _ = local_round(order, weights, None, source, compute)
        first, kept = copy.deepcopy(first), copy.deepcopy(kept)
        later = order.model_copy(update={"round": 2, "position": Position(4, 32, 24)})
        once, _, _, _ = local_round(later, first, kept, source, compute)
        once = copy.deepcopy(once)
        again, _, _, _ = local_round(later, first, Kept(**vars(kept)), source, compute)
        without, _, _, _ = local_round(later, first, None, source, compute)
    assert all(torch.equal(once[n][k], again[n][k]) for n in once for k in once[n])
    assert not all(torch.equal(once[n][k], without[n][k]) for n in once for k in once[n])


def test_only_what_is_learned_travels(family: str, federation: Make, phantom_store: Store) -> None:
    order = order_of(federation(family), phantom_store)
    with open_compute("fp32", ALONE) as compute:
        state = RECIPES[family].training(order.settings.train, order.summary, compute).state()
    both = weights_of(state, order.settings, len(order.findings))
    assert set(both) == {"generator", "critic"}
    at_home = order.settings.model_copy(update={"share": "generator"})
    assert set(weights_of(state, at_home, len(order.findings))) == {"generator"}
    assert "label_means" not in both["generator"]


def test_images_of_all_clients_count(family: str, federation: Make, phantom_store: Store) -> None:
    settings = federation(family)
    order = order_of(settings, phantom_store)
    with open_compute("fp32", ALONE) as compute:
        training = RECIPES[family].training(settings.train, order.summary, compute)
    steps = round_steps(settings, training, Position(), sites=3, films_before=40)
    assert [step[:3] for step in steps[:2]] == [(0, 40, 8), (1, 48, 8)]
    assert len(steps) == 2 * training.critic_steps
    images = len(steps) * 8
    after = after_round(settings, training, Position(), sites=3, counted=2)
    assert after == Position(len(steps), 2 * images, 2 * images - 16)


def test_the_server_average_moves_as_in_training(federation: Make, phantom_store: Store) -> None:
    settings = federation("progan", train={"ema_decay": 0.5}, local_iterations=3)
    order = order_of(settings, phantom_store)
    with open_compute("fp32", ALONE) as compute:
        training = RECIPES["progan"].training(settings.train, order.summary, compute)
    ema = {"a": torch.zeros(2)}
    move_ema(ema, {"a": torch.ones(2)}, settings, training, Position(), sites=3)
    assert ema["a"].tolist() == pytest.approx([0.875, 0.875])
