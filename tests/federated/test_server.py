from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.server.superlink.linkstate.utils import create_message_error_unavailable_res_message

from radcommons.errors import FederationFailed, PathInUse, SettingRefused
from radcommons.federated import messages
from radcommons.federated.messages import FINISH, TRAIN
from radcommons.federated.server import merged_findings
from radcommons.federated.simulation import InTurn
from radcommons.records import FindingsRecord
from radcommons.runs.log import read_log

Weights = Callable[[Path], dict[str, np.ndarray]]
Fault = Callable[[Message, Message], Message]


class Shaky(InTurn):
    """A grid on which replies get lost and clients come and go."""

    lost: tuple[tuple[int, str], ...] = ()  # node and type of message
    times = 10**6  # that they get lost
    nodes: Callable[["Shaky"], Iterable[int]] = staticmethod(lambda grid: grid._contexts)

    def get_node_ids(self) -> list[int]:
        return list(type(self).nodes(self))

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        replies = super().send_and_receive(messages, timeout=timeout)
        kept = []
        for reply in replies:
            if (reply.metadata.src_node_id, reply.metadata.message_type) in self.lost and self.times > 0:
                self.times -= 1
            else:
                kept.append(reply)
        return kept

    def move(self, old: int, new: int) -> None:
        """A client comes back as another node."""
        context = self._contexts.pop(old)
        context.node_id = new
        self._contexts[new] = context


class Gone(InTurn):
    """The third client has lost its power after the questions; the SuperLink tells so, and does not know it yet."""

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        asked, gone = list(messages), self.get_node_ids()[2]
        for reply in (replies := super().send_and_receive(asked, timeout=timeout)):
            if reply.metadata.src_node_id == gone and reply.metadata.message_type in (TRAIN, FINISH):
                question = next(m for m in asked if m.metadata.dst_node_id == gone)
                replies[replies.index(reply)] = create_message_error_unavailable_res_message(
                    question.metadata, "node_unavail"
                )
        return replies


def replaced(**arrays: np.ndarray) -> Fault:
    """A client that sends these arrays, of the first generator weights, in place of its own."""

    def fault(message: Message, good: Message) -> Message:
        names = list(good.content[messages.ARRAYS])
        for place, array in arrays.items():
            good.content[messages.ARRAYS][names[int(place[1:])]] = Array(array)
        return good

    return fault


def raises(message: Message, good: Message) -> Message:
    raise RuntimeError("/data/hospital/films is broken")


def without_one(message: Message, good: Message) -> Message:
    good.content[messages.ARRAYS].popitem()
    return good


def with_one_more(message: Message, good: Message) -> Message:
    good.content[messages.ARRAYS]["generator/more"] = Array(np.zeros(1, np.float32))
    return good


def changed(change: Callable[[np.ndarray], np.ndarray]) -> Fault:
    def fault(message: Message, good: Message) -> Message:
        arrays = messages.to_numpy(good.content[messages.ARRAYS])
        good.content[messages.ARRAYS] = messages.record_of({name: change(array) for name, array in arrays.items()})
        return good

    return fault


def saying(text: str | None, key: str = "json") -> Fault:
    def fault(message: Message, good: Message) -> Message:
        content = RecordDict({messages.TEXT: ConfigRecord({key: text})}) if text is not None else RecordDict()
        content[messages.ARRAYS] = good.content[messages.ARRAYS]
        good.content = content
        return good

    return fault


def garbled(data: bytes) -> Fault:
    def fault(message: Message, good: Message) -> Message:
        arrays = good.content[messages.ARRAYS]
        name = next(iter(arrays))
        arrays[name] = Array(arrays[name].dtype, tuple(arrays[name].shape), arrays[name].stype, data)
        return good

    return fault


def no_arrays(message: Message, good: Message) -> Message:
    del good.content[messages.ARRAYS]
    return good


HUGE_HEADER = (
    b"\x93NUMPY\x01\x00v\x00"
    + b"{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000000,), }".ljust(117)
    + b"\n"
)
NOT_FINITE = '{"images": 1, "numbers": {"loss": NaN}, "seconds": 1}'
INJECTED = '{"images": 1, "numbers": {"loss\\nround": 1}, "seconds": 1}'
FAULTS: dict[str, tuple[Fault, str]] = {
    "raises": (raises, "did not answer (Flower's error 1)"),
    "NaN": (changed(lambda a: a * np.float32(np.nan)), "sent weights that are not numbers"),
    "shape": (replaced(_0=np.zeros((1, 2), np.float32)), "another shape or type"),
    "type": (replaced(_0=np.zeros((1, 2), np.uint16)), "another shape or type"),
    "doubles": (changed(lambda a: a.astype(np.float64)), "another shape or type"),
    "one missing": (without_one, "sent other weights than it was given"),
    "one more": (with_one_more, "sent other weights than it was given"),
    "none": (no_arrays, "sent an answer that cannot be read"),
    "huge": (changed(lambda a: a + np.float32(1e20)), "times as much as the median client"),
    "garbage": (saying("{'"), "sent an answer that cannot be read"),
    "no text": (saying(None), "sent an answer that cannot be read"),
    "not finite": (saying(NOT_FINITE), "sent an answer that cannot be read"),
    "injected": (saying(INJECTED), "sent an answer that cannot be read"),
    "refuses": (saying("this client does not\nallow it", "refused"), "this client does not allow it"),
    "no array": (garbled(b""), "sent an answer that cannot be read"),
    "a zip": (garbled(b"PK\x05\x06" + b"\0" * 18), "sent an answer that cannot be read"),
    "a pickle": (garbled(b"\x80\x04N."), "sent an answer that cannot be read"),
    "more than memory": (garbled(HUGE_HEADER), "sent an answer that cannot be read"),
}  # fmt: skip


def mean_step(clients: Any, *numbers: int) -> float:
    films = np.array(clients.films)[list(numbers)]
    return float((clients.steps[list(numbers)] * films).sum() / films.sum())


@pytest.mark.parametrize("kind", FAULTS)
def test_a_client_whose_answer_cannot_be_used_is_named_and_left_out(
    clients: Callable[..., Any], weights: Weights, out: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    fault, said = FAULTS[kind]
    made = clients(train={"total_images": 32})
    made.faults[1, messages.TRAIN] = fault
    assert made.federate(out).rounds == 1
    [entry] = read_log(out)
    assert entry["clients"] == 2 and entry["images_seen"] == 32 and entry["loss"] == pytest.approx(1.0)
    told = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]
    assert len(told) == 1 and told[0].startswith("round 1: client-02 ") and said in told[0]
    begun, ended = begun_with(made), weights(out)
    for name, value in ended.items():
        assert np.allclose(value, begun[name] + mean_step(made, 0, 2), atol=1e-6), name


def begun_with(made: Any) -> dict[str, np.ndarray]:
    """The weights with which a server begins."""
    from radcommons.federated.server import ALONE
    from radcommons.federated.task import weights_of
    from radcommons.gan.batches import DataSummary
    from radcommons.gan.gradients import open_compute
    from radcommons.gan.recipes import RECIPES

    train = made.settings.train
    with open_compute("fp32", ALONE) as compute:
        training = RECIPES[train.family].training(train, DataSummary(sum(made.films), (0.5, 0.5)), compute)
        networks = weights_of(training.state(), made.settings, 2)
    return {f"{network}/{name}": value.numpy() for network, state in networks.items() for name, value in state.items()}


def test_a_client_that_does_not_answer_is_left_out(
    clients: Callable[..., Any], out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = clients(train={"total_images": 80})
    grid = made.grid(Shaky)
    grid.lost, grid.times = ((3, messages.TRAIN),), 1
    assert made.federate(out, grid).finished
    assert [entry["clients"] for entry in read_log(out)] == [2, 3]
    assert "round 1: client-03 did not answer in time; its weights are left out" in caplog.text


def test_a_client_that_is_gone_is_left_out_though_the_superlink_replies_in_its_place(
    clients: Callable[..., Any], out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = clients(train={"total_images": 80})
    grid = made.grid(Gone)
    assert made.federate(out, grid).finished
    assert [entry["clients"] for entry in read_log(out)] == [2, 2, 2]
    for number in (1, 2, 3):
        assert f"round {number}: client-03 did not answer (is no longer connected)" in caplog.text
    assert "client-03 has not taken the generator: it did not answer (is no longer connected)" in caplog.text


def test_a_round_with_too_few_answers_does_not_count(
    clients: Callable[..., Any], weights: Weights, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good, made = clients(minimum_clients=3), clients(minimum_clients=3)
    good.federate(tmp_path / "good")
    grid = made.grid(Shaky)
    grid.lost, grid.times = ((2, messages.TRAIN),), 2
    assert made.federate(tmp_path / "out", grid).finished
    assert caplog.text.count("round 1 does not count: 2 clients sent weights that can be used, and 3 are needed") == 2
    assert [entry["round"] for entry in read_log(tmp_path / "out")] == [1, 2, 3]
    one, two = weights(tmp_path / "good"), weights(tmp_path / "out")
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_three_rounds_in_a_row_that_do_not_count_end_the_training_and_the_same_command_goes_on(
    clients: Callable[..., Any], weights: Weights, tmp_path: Path
) -> None:
    good, made = clients(), clients()
    good.federate(tmp_path / "good")
    out = tmp_path / "out"
    done: list[int] = []

    def later(message: Message, reply: Message) -> Message:
        done.append(1)
        if len(done) > 3:  # all three clients after the first round
            raise RuntimeError
        return reply

    made.faults = {(number, messages.TRAIN): later for number in range(3)}
    with pytest.raises(
        FederationFailed, match="3 rounds in a row did not count; .* the same command goes on at round 2"
    ):
        made.federate(out)
    assert FederationFailed("").exit_code not in (0, 130)
    made.faults.clear()
    made.seen.clear()
    assert made.federate(out).finished
    assert {order.round for _, kind, order in made.seen if kind == messages.TRAIN} == {2, 3}
    one, two = weights(tmp_path / "good"), weights(out)
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_a_training_that_does_not_get_on_can_be_stopped(clients: Callable[..., Any], out: Path) -> None:
    made = clients()
    made.faults = {(number, messages.TRAIN): raises for number in range(3)}
    assert not made.federate(out, should_stop=lambda: True).finished


def test_a_client_that_comes_back_as_another_node_keeps_its_number(
    clients: Callable[..., Any], weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, made = clients(), clients()
    good.federate(tmp_path / "good")

    def nodes(grid: Shaky) -> list[int]:
        if 2 in grid._contexts and any(kind == messages.TRAIN for _, kind, _ in made.seen):
            grid.move(2, 77)
        return list(grid._contexts)

    monkeypatch.setattr(Shaky, "nodes", staticmethod(nodes))
    made.federate(tmp_path / "out", made.grid(Shaky))
    numbers = [order.numbers for _, kind, order in made.seen if kind == messages.TRAIN]
    assert numbers[0] == {1: 0, 2: 1, 3: 2} and numbers[-1] == {1: 0, 77: 1, 3: 2}
    one, two = weights(tmp_path / "good"), weights(tmp_path / "out")
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_a_client_that_goes_is_waited_for_only_if_the_others_are_too_few(
    clients: Callable[..., Any], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = clients(minimum_clients=2)
    grid = made.grid(Shaky)
    trained = lambda: sum(kind == messages.TRAIN for _, kind, _ in made.seen)  # noqa: E731
    monkeypatch.setattr(Shaky, "nodes", staticmethod(lambda grid: [1, 2, 3] if trained() < 3 else [1, 3]))
    assert made.federate(out, grid).finished
    assert [entry["clients"] for entry in read_log(out)][:2] == [3, 2]
    monkeypatch.setattr(Shaky, "nodes", staticmethod(lambda grid: [1, 2, 3] if trained() < 3 else [1]))
    made.seen.clear()
    with pytest.raises(FederationFailed, match="1 clients are there and 2 are needed; .* the same command goes on"):
        made.federate(out.with_name("other"), made.grid(Shaky))


@pytest.mark.parametrize("fault", [None, raises])
def test_a_client_that_comes_late_is_named_once_and_takes_no_part(
    clients: Callable[..., Any],
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: Fault | None,
) -> None:
    made = clients((10, 20, 30, 40), clients=3)
    if fault:
        made.faults[3, messages.HELLO] = fault
    begun = lambda: any(kind == messages.TRAIN for _, kind, _ in made.seen)  # noqa: E731
    monkeypatch.setattr(Shaky, "nodes", staticmethod(lambda grid: [1, 2, 3, 4] if begun() else [1, 2, 3]))
    assert made.federate(out, made.grid(Shaky)).finished
    assert [kind for number, kind, _ in made.seen if number == 3] == [messages.HELLO]
    said = "(node 4): did not answer" if fault else "client-04 came after the training had begun and takes no part"
    assert caplog.text.count(said) == 1


def test_two_clients_of_one_name_are_refused(clients: Callable[..., Any], out: Path) -> None:
    made = clients(names=("a", "b", "a"))
    with pytest.raises(FederationFailed, match="two clients are called a; give them other names"):
        made.federate(out)
    assert not out.exists()


def test_nobody_takes_the_place_of_a_client_that_is_there(
    clients: Callable[..., Any], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = clients((10, 20, 30, 1000), clients=3, names=("a", "b", "c", "a"))
    trained = lambda: sum(kind == messages.TRAIN for _, kind, _ in made.seen)  # noqa: E731
    there = {0: [1, 2, 3], 3: [4, 1, 2, 3], 6: [4, 2, 3]}  # by messages to train
    nodes = lambda grid: there[max(n for n in there if n <= trained())]  # noqa: E731
    monkeypatch.setattr(Shaky, "nodes", staticmethod(nodes))
    made.federate(out, made.grid(Shaky))
    rounds = [order.numbers for _, kind, order in made.seen if kind == messages.TRAIN]
    assert rounds[3] == {1: 0, 2: 1, 3: 2}, "the first a is still there"
    assert rounds[6] == {4: 0, 2: 1, 3: 2}, "the second takes over once the first has gone"


def test_more_clients_than_the_settings_say_are_refused(clients: Callable[..., Any], out: Path) -> None:
    with pytest.raises(FederationFailed, match="more than 2 clients are there; raise 'clients'"):
        clients(clients=2).federate(out)
    assert not out.exists()


def test_a_training_begins_when_all_clients_are_there(
    clients: Callable[..., Any], out: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looked: list[int] = []
    monkeypatch.setattr(Shaky, "nodes", staticmethod(lambda grid: looked.append(1) or [1, 2, 3][: len(looked)]))
    made = clients()
    assert made.federate(out, made.grid(Shaky)).federation.clients == 3
    told = [record.getMessage() for record in caplog.records if "are there" in record.getMessage()]
    assert told == ["1 of 3 clients are there", "2 of 3 clients are there"]
    monkeypatch.setattr(Shaky, "nodes", staticmethod(lambda grid: [1, 2]))
    with pytest.raises(FederationFailed, match="2 clients are there and 3 are needed"):
        made.federate(out.with_name("other"), made.grid(Shaky))
    assert not out.with_name("other").exists()


def test_a_first_question_that_gets_lost_is_asked_again(clients: Callable[..., Any], out: Path) -> None:
    made = clients(round_seconds=60)
    grid = made.grid(Shaky)
    grid.lost, grid.times = ((2, messages.HELLO),), 1
    assert made.federate(out, grid).finished


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"findings": (("Effusion",), ("Effusion",), ("Nodule",)), "train": {"findings": ["Effusion"]}},
         "not every client labels Effusion; in all are: none"),
        ({"train": {"findings": ["Hernia"]}}, "not every client labels Hernia; in all are: Effusion, Nodule"),
        ({"findings": (("Effusion",), ("Effusion",), ("Nodule",))},
         "no client has a film with a finding that all of them label; with films are: none"),
        ({"films": (1, 1, 1), "train": {"findings": ["Nodule"]}}, "no client has a film with Nodule; .*: none"),
        ({"films": (20, 7, 3)}, r"a batch has 8 films, more than client-02 \(7\), client-03 \(3\); lower batch_size"),
        ({"sides": (32, 8, 32)}, r"resolution is 16, more than the films of client-02 \(8\); lower it"),
    ],
)  # fmt: skip
def test_films_that_do_not_fit_the_settings_are_refused(
    clients: Callable[..., Any], out: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingRefused, match=said):
        clients(**changes).federate(out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("kind", "fault", "said"),
    [
        (messages.HELLO, saying("this client does not allow it", "refused"),
         r"a client cannot take part \(node 2\): this client does not allow it"),
        (messages.HELLO, saying('{"name": "a\\nb", "films": 1}'), r"\(node 2\): sent an answer that cannot be read"),
        (messages.FINDINGS, raises, "client-02 did not answer .*, when asked how its findings occur together"),
        (messages.FINDINGS, saying(FindingsRecord(
            findings=("Other",), combinations=(((0,), 3),), smallest_cell=5, withheld_images=0).to_json()),
         "client-02 told of other findings than it was asked for"),
    ],
)  # fmt: skip
def test_a_client_that_refuses_before_the_training_ends_it(
    clients: Callable[..., Any], out: Path, kind: str, fault: Fault, said: str
) -> None:
    def without_arrays(message: Message, good: Message) -> Message:
        good.content[messages.ARRAYS] = ArrayRecord()
        return fault(message, good)

    made = clients()
    made.faults[1, kind] = without_arrays
    with pytest.raises(FederationFailed, match=said):
        made.federate(out)
    assert not out.exists()


def test_one_that_refuses_when_the_server_comes_back_is_left_out(
    clients: Callable[..., Any], out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = clients()
    made.federate(out, should_stop=lambda: True)
    made.faults[0, messages.HELLO] = saying("this client does not allow it", "refused")
    made.faults[0, messages.HELLO] = lambda message, good: Message(messages.refusal("no more"), reply_to=message)
    assert made.federate(out).finished
    assert [entry["clients"] for entry in read_log(out)][:2] == [3, 2]
    assert caplog.text.count("a client cannot take part (node 1): no more") == 1


def test_other_settings_than_those_begun_with_are_refused(
    clients: Callable[..., Any], weights: Weights, out: Path
) -> None:
    clients().federate(out, should_stop=lambda: True)
    before = weights(out)
    with pytest.raises(PathInUse, match="was begun with local_iterations = 2, not 3"):
        clients(local_iterations=3).federate(out)
    assert all(np.array_equal(before[name], value) for name, value in weights(out).items())


def test_a_damaged_checkpoint_is_set_aside(clients: Callable[..., Any], weights: Weights, tmp_path: Path) -> None:
    good, made = clients(), clients()
    good.federate(tmp_path / "good")
    out = tmp_path / "out"
    stops = iter([False, True])
    made.federate(out, should_stop=lambda: next(stops))
    (out / "checkpoint.pt").write_bytes(b"damaged")
    assert made.federate(out).finished and (out / "checkpoint-damaged.pt").exists()
    one, two = weights(tmp_path / "good"), weights(out)
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_what_clients_say_does_not_change_the_servers_own_numbers(clients: Callable[..., Any], out: Path) -> None:
    made = clients(train={"total_images": 48})
    made.faults[0, messages.TRAIN] = saying('{"images": 1, "numbers": {"images_seen": 7, "round": 9}, "seconds": 1}')
    made.federate(out)
    [entry] = read_log(out)
    assert entry["images_seen"] == 48 and entry["round"] == 1


def test_a_client_that_does_not_take_the_generator_is_named(
    clients: Callable[..., Any], out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = clients()
    grid = made.grid(Shaky)
    grid.lost = ((1, messages.FINISH),)
    made.faults[1, messages.FINISH] = raises
    assert made.federate(out, grid).finished
    assert "client-01 has not taken the generator: it is silent; the same command offers it again" in caplog.text
    assert "client-02 has not taken the generator: it did not answer" in caplog.text and "client-03" not in caplog.text
    made.seen.clear()
    assert made.federate(out).finished
    assert [kind for number, kind, _ in made.seen if number == 0] == [messages.HELLO, messages.FINISH]


def test_findings_of_all_sites_are_added_up() -> None:
    first = FindingsRecord(
        findings=("A", "B"), combinations=(((0, 0), 9), ((1, 0), 6)), smallest_cell=5, withheld_images=2
    )
    second = FindingsRecord(
        findings=("A", "B"), combinations=(((1, 0), 7), ((0, 1), 9)), smallest_cell=3, withheld_images=1
    )
    merged = merged_findings([first, second])
    assert merged.combinations == (((1, 0), 13), ((0, 0), 9), ((0, 1), 9))
    assert merged.findings == ("A", "B") and merged.smallest_cell == 3 and merged.withheld_images == 3


def test_means_of_labels_are_those_of_all_films(clients: Callable[..., Any], out: Path) -> None:
    made = clients((10, 30, 21))
    made.federate(out, should_stop=lambda: True)
    order = next(order for _, kind, order in made.seen if kind == messages.TRAIN)
    assert order.films == 61 and order.label_means == pytest.approx((30 / 61, 30 / 61))


def test_a_critic_that_does_not_travel_is_not_in_the_servers_run(
    clients: Callable[..., Any], out: Path, weights: Weights
) -> None:
    from radcommons.audit.inputs.subject import load_critic
    from radcommons.models.generator import Generator

    made = clients(share="generator")
    made.federate(out)
    assert not any(name.startswith("critic/") for name in weights(out))
    assert load_critic(out, Generator.load(out)) is None, "the audit would try one that has learned nothing"


def test_a_run_with_an_answer_in_half_precision_goes_on(clients: Callable[..., Any], out: Path) -> None:
    made = clients(transfer="bf16")
    assert made.federate(out).finished
    assert all(entry["clients"] == 3 for entry in read_log(out))
