import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dp_accounting
import numpy as np
import pytest
import torch
from dp_accounting.rdp import RdpAccountant
from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import Krum

from radcommons.errors import SettingRefused
from radcommons.federated import messages
from radcommons.federated.settings import FederatedSettings
from radcommons.federated.strategies import WEIGHT, accountant_of, grid_of, noise_of, strategy_of
from radcommons.runs.log import read_log

Arrays = dict[str, np.ndarray]
Weights = Callable[[Path], Arrays]
PRIVACY = {"noise_multiplier": 1.0, "clipping_norm": 2.0, "delta": 1e-3, "largest_epsilon": 50.0}


def averaged(
    strategy: Any, sent: list[Arrays], films: list[float] | None = None, given: Arrays | None = None
) -> Arrays:
    """What a strategy makes of the arrays of clients."""
    given = given or {name: np.zeros_like(array) for name, array in sent[0].items()}
    list(strategy.configure_train(1, messages.record_of(given), ConfigRecord(), grid_of(range(1, len(sent) + 1))))
    replies = []
    for node, (arrays, weight) in enumerate(zip(sent, films or [1.0] * len(sent), strict=True), 1):
        content = RecordDict(
            {messages.ARRAYS: messages.record_of(arrays), "metrics": MetricRecord({WEIGHT: float(weight)})}
        )
        replies.append(Message(content, node, "train"))
    found, _ = strategy.aggregate_train(1, replies)
    assert found is not None
    return messages.to_numpy(found)


def settings(clients: int, **changes: Any) -> FederatedSettings:
    train = {"family": "rgan", "resolution": 16, "channels": {4: 6, 8: 5, 16: 4}}
    return FederatedSettings.parse({"clients": clients, "train": train, **changes}, source="test")


def arrays(*values: float) -> Arrays:
    return {"generator/a": np.array(values, np.float32)}


@pytest.fixture(autouse=True)
def _messages_have_a_sender(clients: Callable[..., Any]) -> None:
    clients().grid()


def test_the_mean_of_four_equal_clients_is_one_of_them() -> None:
    rng = np.random.default_rng(0)
    one = {"generator/a": rng.normal(size=(50, 7)).astype(np.float32), "critic/b": np.float32(rng.normal(size=3))}
    found = averaged(strategy_of(settings(4)), [one] * 4, [10.0] * 4)
    assert all(np.array_equal(found[name], one[name]) and found[name].dtype == np.float32 for name in one)


def test_the_mean_follows_the_number_of_films() -> None:
    found = averaged(strategy_of(settings(3)), [arrays(1, 0), arrays(2, 4), arrays(6, 2)], [10, 20, 70])
    assert found["generator/a"] == pytest.approx([0.1 + 0.4 + 4.2, 0.8 + 1.4])


def test_the_median_takes_each_weight_by_itself_and_asks_for_no_films() -> None:
    strategy = strategy_of(settings(3, aggregation="median"))
    found = averaged(strategy, [arrays(1, 9), arrays(2, 4), arrays(1e6, -1e6)], [1, 1, 1e9])
    assert found["generator/a"].tolist() == [2, 4]


def test_the_trimmed_mean_leaves_out_the_ends() -> None:
    strategy = strategy_of(settings(5, aggregation="trimmed mean", trimmed_share=0.2))
    found = averaged(strategy, [arrays(v) for v in (1, 2, 6, 1e6, -1e6)])
    assert found["generator/a"] == pytest.approx([3.0])


def test_krum_takes_the_client_that_is_nearest_to_the_others() -> None:
    strategy = strategy_of(settings(5, aggregation="krum"))
    found = averaged(strategy, [arrays(0, 0), arrays(1, 0), arrays(0, 1.5), arrays(-2, 0), arrays(50, 50)])
    assert found["generator/a"].tolist() == [0, 0]  # sums of the two nearest: 3.25, 4.25, 5.5, 10.25, thousands


def test_krum_sees_small_changes_of_large_weights_which_single_precision_does_not() -> None:
    rng = np.random.default_rng(0)
    large = (rng.normal(size=20_000) * 5).astype(np.float32)
    change = rng.normal(size=20_000) * 1e-3
    sent = [(large + change * sign + rng.normal(size=20_000) * 1e-4).astype(np.float32) for sign in (-1, *[1] * 9)]
    whole = np.array(sent, np.float64)
    squares = np.square(whole[:, None] - whole[None]).sum(-1)
    nearest = int(np.sort(squares)[:, 1:8].sum(1).argmin())  # the 10 - 1 - 2 nearest others

    def chosen_by(strategy: Any) -> int:
        arrays = [{"generator/a": array} for array in sent]
        found = averaged(strategy, arrays, given={"generator/a": large})["generator/a"]
        return next(number for number, array in enumerate(sent) if np.array_equal(found, array))

    assert chosen_by(strategy_of(settings(10, aggregation="krum"))) == nearest != 0
    assert chosen_by(Krum(min_train_nodes=1, min_available_nodes=1, num_malicious_nodes=1)) != nearest


@pytest.mark.parametrize(
    ("aggregation", "bears_it"), [("mean", False), ("median", True), ("trimmed mean", True), ("krum", True)]
)
def test_one_client_of_ten_that_turns_its_changes_round(
    clients: Callable[..., Any], weights: Weights, tmp_path: Path, aggregation: str, bears_it: bool
) -> None:
    """Its changes are nine times as long, the other way: not long enough to be refused."""

    def ended(name: str, steps: np.ndarray) -> tuple[Arrays, list[dict[str, Any]]]:
        made = clients((10,) * 10, aggregation=aggregation, steps=steps, names=tuple(map(str, range(10))),
                       findings=(("A",),) * 10, sides=(16,) * 10, train={"total_images": 480})  # fmt: skip
        made.federate(tmp_path / name)
        return weights(tmp_path / name), read_log(tmp_path / name)

    steps = np.linspace(0.01, 0.011, 10)
    clean, _ = ended("clean", steps)
    poisoned, log = ended("poisoned", np.append(steps[:9], -9 * steps[9]))
    assert all(entry["clients"] == 10 for entry in log) and len(log) == 3
    rounds = 3 * 0.0105  # how far the clean training went
    apart = max(float(np.abs(poisoned[name] - clean[name]).max()) for name in clean)
    assert (apart < 0.2 * rounds) == bears_it
    assert bears_it or apart > 0.9 * rounds


# ---- differential privacy ----


@pytest.mark.parametrize(
    ("sigma", "rounds", "delta"), [(1.0, 1, 1e-5), (2.0, 30, 1e-3), (0.7, 5, 1e-6), (20.0, 400, 1e-5)]
)
def test_epsilon_is_that_of_the_accountant_and_of_the_formula(sigma: float, rounds: int, delta: float) -> None:
    asked = settings(6, privacy=PRIVACY | {"noise_multiplier": sigma, "delta": delta, "largest_epsilon": 1e4})
    assert asked.privacy is not None
    accountant = accountant_of(asked.privacy, 6)
    from flwr.supercore.privacy_accounting import GaussianPrivacyEvent

    accountant.compose(GaussianPrivacyEvent(sigma, 6, 6), rounds)
    directly = RdpAccountant(neighboring_relation=dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE)
    directly.compose(dp_accounting.GaussianDpEvent(sigma), rounds)
    found = accountant.get_privacy_spent().epsilon
    assert found == pytest.approx(directly.get_epsilon(delta), rel=1e-12)
    rho = rounds / (2 * sigma**2)  # zCDP, Bun and Steinke 2016: a looser bound in closed form
    assert found <= rho + 2 * math.sqrt(rho * math.log(1 / delta))
    assert found >= 0.5 * (rho + 2 * math.sqrt(rho * math.log(1 / delta)))


def test_a_share_of_the_clients_costs_as_much_as_all_of_them() -> None:
    """No amplification by sampling is claimed: the seed says who takes part, and every client has the seed."""
    strategy = strategy_of(settings(10, clients_share=0.2, privacy=PRIVACY))
    list(strategy.configure_train(1, messages.record_of(arrays(0)), ConfigRecord(), grid_of([1, 2])))
    everybody = strategy_of(settings(2, privacy=PRIVACY))
    list(everybody.configure_train(1, messages.record_of(arrays(0)), ConfigRecord(), grid_of([1, 2])))
    for one in (strategy, everybody):
        one._compose_release(one._pop_pending_event(1))
    assert strategy.privacy_spent().epsilon == everybody.privacy_spent().epsilon > 0


def test_a_change_is_clipped_over_all_arrays_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np.random, "normal", lambda mean, spread, shape: np.zeros(shape))
    given = {"generator/a": np.array([5, 5], np.float32), "critic/b": np.array([[7]], np.float32)}
    long = {"generator/a": np.array([5 + 8, 5], np.float32), "critic/b": np.array([[7 - 6]], np.float32)}  # length 10
    short = {"generator/a": np.array([5, 5 + 1], np.float32), "critic/b": np.array([[7]], np.float32)}
    found = averaged(strategy_of(settings(2, privacy=PRIVACY)), [long, short], given=given)
    assert found["generator/a"] == pytest.approx([5 + 1.6 / 2, 5 + 1 / 2])  # the long one is cut to 2
    assert found["critic/b"] == pytest.approx(np.array([[7 - 1.2 / 2]]))


def test_noise_is_that_of_the_settings_and_only_on_what_travels(
    clients: Callable[..., Any], weights: Weights, tmp_path: Path
) -> None:
    made = clients(
        share="generator", privacy=PRIVACY | {"clipping_norm": 1e-3, "noise_multiplier": 30.0}, steps=np.full(3, 1e-9),
        train={"total_images": 48},
    )  # fmt: skip
    first = clients(share="generator", steps=np.zeros(3), train={"total_images": 48})
    made.federate(tmp_path / "noisy")
    first.federate(tmp_path / "plain")
    noisy, plain = weights(tmp_path / "noisy"), weights(tmp_path / "plain")
    assert set(noisy) == set(plain) and all(name.startswith("generator/") for name in noisy)
    noise = np.concatenate([(noisy[name] - plain[name]).ravel() for name in noisy])
    assert noise.std() == pytest.approx(30.0 * 1e-3 / 3, rel=0.05) and abs(noise.mean()) < 5e-4


def test_noise_follows_from_a_secret_and_leaves_the_global_generator_as_it_was() -> None:
    def drawn(secret: str, number: int) -> np.ndarray:
        with noise_of(secret, number):
            return np.random.normal(size=4)  # noqa: NPY002

    before = np.random.get_state()[1].copy()  # noqa: NPY002
    assert np.array_equal(drawn("a", 1), drawn("a", 1))
    assert not np.array_equal(drawn("a", 1), drawn("a", 2)) and not np.array_equal(drawn("a", 1), drawn("b", 1))
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_no_client_can_know_the_noise(clients: Callable[..., Any], weights: Weights, tmp_path: Path) -> None:
    one, two = (clients(privacy=PRIVACY, train={"total_images": 48}) for _ in range(2))
    one.federate(tmp_path / "one")
    two.federate(tmp_path / "two")
    first, second = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert not any(np.array_equal(first[n], second[n]) for n in first), "the settings and their seed are the same"
    from radcommons.runs import checkpoint

    loaded = checkpoint.load(tmp_path / "one", torch.device("cpu"))
    assert loaded is not None and len(loaded[0]["secret"]) == 64
    sent = "".join(order.model_dump_json() for _, _, order in one.seen if order)
    assert loaded[0]["secret"] not in sent + (tmp_path / "one" / "config.toml").read_text()


def test_the_training_ends_before_a_round_would_exceed_the_largest_epsilon(
    clients: Callable[..., Any], tmp_path: Path
) -> None:
    def cost(rounds: int) -> float:
        one = RdpAccountant()
        one.compose(dp_accounting.GaussianDpEvent(1.0), rounds)
        return one.get_epsilon(1e-3)

    made = clients(privacy=PRIVACY | {"largest_epsilon": (cost(2) + cost(3)) / 2}, train={"total_images": 480})
    outcome = made.federate(tmp_path / "out")
    assert outcome.finished and outcome.budget_spent and outcome.rounds == 2 and outcome.images_seen < 480
    record = json.loads((tmp_path / "out" / "generator" / "federation.json").read_text())
    assert record["privacy"] == {
        "epsilon": pytest.approx(cost(2)), "delta": 1e-3, "noise_multiplier": 1.0, "clipping_norm": 2.0, "releases": 2
    }  # fmt: skip
    assert outcome.federation.privacy is not None and outcome.federation.privacy.epsilon == record["privacy"]["epsilon"]
    again = made.federate(tmp_path / "out")
    assert again.budget_spent and again.rounds == 2 and again.federation == outcome.federation


def test_a_budget_for_no_round_at_all_is_refused(clients: Callable[..., Any], tmp_path: Path) -> None:
    made = clients(privacy=PRIVACY | {"largest_epsilon": 0.1})
    with pytest.raises(
        SettingRefused, match=r"'largest_epsilon' is 0.1, and one round has 3\.\d+; raise it, or 'noise"
    ):
        made.federate(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_private_training_that_was_stopped_goes_on_to_the_same_weights_and_epsilon(
    clients: Callable[..., Any], weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("radcommons.federated.server.secrets.token_hex", lambda bytes_: "5" * 2 * bytes_)
    whole, parts = clients(privacy=PRIVACY), clients(privacy=PRIVACY)
    expected = whole.federate(tmp_path / "whole")
    parts.federate(tmp_path / "parts", should_stop=lambda: True)
    monkeypatch.undo()
    found = parts.federate(tmp_path / "parts")
    assert found.federation == expected.federation and found.federation.privacy.releases == 3
    one, two = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_with_privacy_a_round_counts_only_with_all_clients_and_costs_nothing_without(
    clients: Callable[..., Any], weights: Weights, tmp_path: Path
) -> None:
    made = clients(privacy=PRIVACY)
    failing = [True, True]

    def fault(message: Message, good: Message) -> Message:
        if failing and failing.pop():
            raise RuntimeError
        return good

    made.faults[2, messages.TRAIN] = fault
    outcome = made.federate(tmp_path / "out")
    assert [entry["clients"] for entry in read_log(tmp_path / "out")] == [3, 3, 3]
    assert outcome.federation.privacy is not None and outcome.federation.privacy.releases == 3
    assert sum(kind == messages.TRAIN for _, kind, _ in made.seen) == 15


def test_a_client_that_sends_the_weights_back_does_not_end_a_private_training(
    clients: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = clients(privacy=PRIVACY)
    turns = iter([True])

    def fault(message: Message, good: Message) -> Message:
        if next(turns, False):
            good.content[messages.ARRAYS] = message.content[messages.ARRAYS]
        return good

    made.faults[0, messages.TRAIN] = fault
    assert made.federate(tmp_path / "out").finished
    assert "client-01 sent the weights back unchanged; its weights are left out" in caplog.text


def test_where_changes_are_clipped_a_long_one_is_not_refused(clients: Callable[..., Any], tmp_path: Path) -> None:
    """A refusal would let others see how long a client's change was, and no noise covers that."""
    made = clients(privacy=PRIVACY, steps=np.array([0.001, 0.001, 1e4]))
    made.federate(tmp_path / "out")
    assert [entry["clients"] for entry in read_log(tmp_path / "out")] == [3, 3, 3]


def test_with_privacy_every_client_counts_alike(
    clients: Callable[..., Any], weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(np.random, "normal", lambda mean, spread, shape: np.zeros(shape))
    ends = []
    for films in ((10, 20, 30), (1000, 20, 30)):
        name = str(films[0])
        clients(films, privacy=PRIVACY | {"clipping_norm": 1e6}, train={"total_images": 48}).federate(tmp_path / name)
        ends.append(weights(tmp_path / name))
    moved = [ends[1][name] - ends[0][name] for name in ends[0]]
    assert max(float(np.abs(change).max()) for change in moved) < 1e-6


def test_every_weight_that_travels_is_an_array_with_a_side(federation: Callable[..., Any], family: str) -> None:
    """Flower clips in place, which a number alone would escape."""
    from radcommons.federated.task import weights_of
    from radcommons.models.families import FAMILIES

    asked = federation(family)
    config = asked.train.network(2)
    made = FAMILIES[family]
    state = {"generator": made.generator(config).state_dict(), "critic": made.critic(config).state_dict()}
    assert all(value.ndim > 0 for weights in weights_of(state, asked, 2).values() for value in weights.values())
