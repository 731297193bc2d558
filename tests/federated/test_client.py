import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from pydantic import BaseModel

from radcommons.audit.inputs.subject import open_subject
from radcommons.data.store import Store
from radcommons.data.training_patients import patients_record
from radcommons.errors import FederationFailed
from radcommons.federated import messages
from radcommons.federated.client import Finish, Site
from radcommons.federated.messages import Hello, Trained
from radcommons.federated.server import ALONE, federate
from radcommons.federated.settings import ClientLimits, SimulationSettings
from radcommons.federated.simulation import InTurn, answering, simulate
from radcommons.federated.task import Asked, Order, Weights, weights_of
from radcommons.gan.gradients import open_compute
from radcommons.gan.recipe import Position
from radcommons.gan.recipes import RECIPES
from radcommons.models.generator_files import load_patients
from radcommons.progress import silent
from radcommons.records import FederationRecord, FindingsRecord

Make = Callable[..., SimulationSettings]
Ask = Callable[..., Message]
FINDINGS = ("Effusion", "Cardiomegaly")


def order_of(settings: SimulationSettings, **changes: Any) -> Order:
    values = {
        "settings": settings, "findings": FINDINGS, "films": 50, "label_means": (0.5, 0.5), "round": 1,
        "position": Position(), "sites": 1, "numbers": {1: 0}, "training": "a",
    }  # fmt: skip
    return Order(**(values | changes))


def finish_of(order: Order) -> Finish:
    return Finish(
        **dict(order),
        published=FindingsRecord(findings=FINDINGS, combinations=(), smallest_cell=5, withheld_images=0),
        federation=FederationRecord(clients=1, films=1, rounds=1, share="both", aggregation="mean", local_iterations=2),
    )


def begun(order: Order) -> Weights:
    with open_compute("fp32", ALONE) as compute:
        training = RECIPES[order.settings.train.family].training(order.settings.train, order.summary, compute)
        return weights_of(training.state(), order.settings, len(order.findings))


def ask(site: Site, kind: str, content: BaseModel | RecordDict, weights: Weights | None = None) -> Message:
    """What a client answers."""
    grid = InTurn(answering(lambda message, context: site.answer(message)), 1)
    if isinstance(content, BaseModel):
        content = messages.with_text(content, None if weights is None else messages.to_arrays(weights, "fp32"))
    [reply] = grid.send_and_receive([Message(content, 1, kind)])
    return reply


def train(site: Site, order: Order, weights: Weights | None = None) -> Weights:
    reply = ask(site, messages.TRAIN, order, begun(order) if weights is None else weights)
    messages.text_of(reply.content, Trained)
    return messages.to_weights(reply.content.array_records[messages.ARRAYS])


def refusal_of(reply: Message) -> str:
    with pytest.raises(FederationFailed) as refused:
        messages.text_of(reply.content, Trained)
    assert set(reply.content) == {messages.TEXT}, "a refusal has no weights"
    return str(refused.value)


def equal(one: Weights, two: Weights) -> bool:
    return all(torch.equal(one[n][k], two[n][k]) for n in one for k in one[n])


@pytest.fixture
def site(phantom_store: Store, tmp_path: Path) -> Callable[..., Site]:
    def make(store: Store = phantom_store, rows: np.ndarray | None = None, **limits: Any) -> Site:
        return Site("ours", store, tmp_path / "site", rows, ClientLimits.parse(limits, source="client.toml"))

    return make


# ---- what a client tells ----


def test_a_client_tells_how_many_films_have_a_finding(
    site: Callable[..., Site], federation: Make, phantom_store: Store
) -> None:
    hello = messages.text_of(ask(site(), messages.HELLO, Asked(settings=federation())).content, Hello)
    labels = phantom_store.labels(phantom_store.rows("train"))
    assert hello.name == "ours" and hello.films == len(labels) and hello.largest_resolution == 32
    assert hello.findings == phantom_store.findings
    assert hello.positives == tuple(np.nansum(labels, axis=0)) and hello.known == tuple(np.isfinite(labels).sum(axis=0))


def test_findings_that_may_not_be_learned_are_not_told(site: Callable[..., Site], federation: Make) -> None:
    made = site(findings=["Effusion"])
    hello = messages.text_of(ask(made, messages.HELLO, Asked(settings=federation())).content, Hello)
    assert hello.findings == ("Effusion",) and len(hello.positives) == len(hello.known) == 1
    reply = ask(made, messages.FINDINGS, order_of(federation()))
    assert "this client does not allow findings Cardiomegaly, only Effusion" in refusal_of(reply)


def test_a_combination_of_few_patients_is_not_told(
    site: Callable[..., Site], federation: Make, phantom_store: Store
) -> None:
    told = messages.text_of(ask(site(), messages.FINDINGS, order_of(federation())).content, FindingsRecord)
    assert told.findings == FINDINGS and told.smallest_cell == 5
    told_of = told.withheld_images + sum(images for _, images in told.combinations)
    assert told_of == len(phantom_store.rows("train")) and told.withheld_images > 0
    assert all(images >= 5 for _, images in told.combinations)


def test_an_answer_to_a_round_holds_the_weights_that_travel_and_the_numbers_of_the_round(
    site: Callable[..., Site], federation: Make
) -> None:
    order = order_of(federation())
    reply = ask(site(), messages.TRAIN, order, begun(order))
    assert set(reply.content) == {messages.TEXT, messages.ARRAYS}
    expected = {f"{network}/{name}" for network, state in begun(order).items() for name in state}
    assert set(reply.content[messages.ARRAYS]) == expected
    told = json.loads(str(reply.content[messages.TEXT]["json"]))
    assert set(told) == {"images", "numbers", "seconds"} and told["images"] == 16
    assert all(isinstance(value, float) for value in told["numbers"].values())


class Recording(InTurn):
    """Keeps every byte that clients send."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.bytes = b""

    def push_messages(self, messages: Any) -> Any:
        sent = super().push_messages(messages)
        for name in sent:
            reply = self._replies[name]
            self.bytes += repr(vars(reply.metadata)).encode()
            if reply.has_error():
                self.bytes += repr(reply.error).encode()
                continue
            for record in reply.content.values():
                self.bytes += repr(dict(record)).encode() if not isinstance(record, ArrayRecord) else b""
                if isinstance(record, ArrayRecord):
                    self.bytes += b"".join(name.encode() + array.data for name, array in record.items())
        return sent


def test_no_path_no_store_and_no_patient_goes_to_the_server(
    phantom_store: Store, federation: Make, tmp_path: Path
) -> None:
    settings = federation(clients=2, train={"total_images": 64})
    sites = [Site(f"client-{n}", phantom_store, tmp_path / f"folder-{n}") for n in (1, 2)]
    broken = Site("client-2", phantom_store, phantom_store.path / "store.json")  # no folder can be made there

    def answer(message: Message, context: Any) -> Message:
        number = int(context.node_config["partition-id"])
        if message.metadata.message_type == messages.TRAIN and number == 1 and not failed:
            failed.append(1)
            return broken.answer(message)
        return sites[number].answer(message)

    failed: list[int] = []
    grid = Recording(answering(answer), 2)
    assert federate(grid, settings, tmp_path / "server").finished
    assert len(grid.bytes) > 10_000 and failed
    secrets = {
        str(phantom_store.path),
        phantom_store.path.name,
        str(tmp_path),
        "folder-1",
        *map(str, patients_of(phantom_store)),
    }
    hashes = patients_record(phantom_store, phantom_store.rows("train")).hashes
    assert len(secrets) > 20
    assert not [secret for secret in {*secrets, *hashes} if secret.encode() in grid.bytes]


def patients_of(store: Store) -> list[str]:
    """Pseudonyms of all patients, and the names of all films."""
    texts = [name for name, kind in store.manifest.schema.items() if str(kind) == "String"]
    columns = [name for name in texts if name in ("patient", "image", "study", "source", "file")]
    assert "patient" in columns
    return [value for name in columns for value in store.manifest[name].unique().to_list() if value and len(value) > 6]


@pytest.mark.parametrize(
    "error", [OSError("/data/films/x.png"), KeyError("patient-17"), MemoryError(), ValueError("/x")]
)
def test_an_error_is_told_by_its_kind_alone(
    site: Callable[..., Site], federation: Make, monkeypatch: pytest.MonkeyPatch, error: Exception,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("radcommons.federated.client.local_round", fail)
    order = order_of(federation())
    assert refusal_of(ask(site(), messages.TRAIN, order, begun(order))) == f"stopped with {type(error).__name__}"
    assert str(error) in caplog.text, "the hospital's own log has all of it"


# ---- what a client allows ----


@pytest.mark.parametrize("kind", [messages.HELLO, messages.FINDINGS, messages.TRAIN, messages.FINISH])
def test_limits_are_kept_whatever_is_asked(site: Callable[..., Site], federation: Make, kind: str) -> None:
    order = order_of(federation())
    content = finish_of(order) if kind == messages.FINISH else order
    made = site(largest_iterations=1)
    reply = ask(made, kind, content, begun(order))
    assert refusal_of(reply) == "this client does not allow local_iterations 2, at most 1"
    assert not made.folder.exists()


def test_settings_that_a_server_changes_on_the_way_are_refused(site: Callable[..., Site], federation: Make) -> None:
    made = site(largest_iterations=2, largest_resolution=16, share="generator", findings=list(FINDINGS))
    allowed = order_of(federation(share="generator"))
    train(made, allowed)
    for settings, findings, said in (
        (federation(share="generator", local_iterations=3), FINDINGS, "local_iterations 3, at most 2"),
        (federation(share="both"), FINDINGS, "share both, only generator"),
        (federation(share="generator", train={"resolution": 32, "channels": {4: 6, 8: 5, 16: 4, 32: 2}}), FINDINGS,
         "resolution 32, at most 16"),
        (federation(share="generator"), ("Nodule",), "findings Nodule, only"),
    ):  # fmt: skip
        asked = order_of(settings, findings=findings, round=2)
        assert said in refusal_of(ask(made, messages.TRAIN, asked, begun(asked)))


@pytest.mark.parametrize("family", ["progan"])
def test_more_films_than_allowed_are_not_shown_by_more_critic_steps_or_larger_batches(
    site: Callable[..., Site], federation: Make, family: str
) -> None:
    made = site(largest_images=32)
    train(made, order_of(federation(family)))  # 2 steps of the generator, each with 2 of the critic, of 8 films
    for changes in ({"critic_steps": 3}, {"batch_size": {4: 9, 8: 9, 16: 9}}):
        order = order_of(federation(family, train=changes), round=2)
        said = refusal_of(ask(made, messages.TRAIN, order, begun(order)))
        assert said in (
            "this client does not allow 48 films in a round, at most 32",
            "this client does not allow 36 films in a round, at most 32",
        )


def test_rounds_are_counted_by_the_client_whatever_the_server_calls_them(
    site: Callable[..., Site], federation: Make
) -> None:
    made, order = site(most_rounds=2), order_of(federation())
    train(made, order)
    train(made, order_of(federation(), training="b"))
    said = "this client does not allow 3 rounds, at most 2"
    assert refusal_of(ask(made, messages.TRAIN, order, begun(order))) == said
    assert refusal_of(ask(made, messages.HELLO, Asked(settings=federation()))) == said


@pytest.mark.parametrize(
    "content",
    [
        RecordDict(),
        RecordDict({messages.TEXT: ConfigRecord({"json": "{"})}),
        RecordDict({messages.TEXT: ConfigRecord({"json": '{"settings": {"train": {"family": "other"}}}'})}),
        RecordDict({messages.TEXT: ConfigRecord({"json": '{"settings": {"train": {"preset": "../../x"}}}'})}),
    ],
)
@pytest.mark.parametrize("kind", [messages.HELLO, messages.TRAIN])
def test_settings_that_cannot_be_read_are_refused(site: Callable[..., Site], content: RecordDict, kind: str) -> None:
    assert refusal_of(ask(site(), kind, RecordDict(dict(content)))) in (
        "stopped with FederationFailed", "its films do not fit the settings"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: {"generator": {}}, "stopped with KeyError"),
        (lambda w: {n: {k: v[..., :1] for k, v in s.items()} for n, s in w.items()}, "stopped with RuntimeError"),
        (
            lambda w: {n: {k: v * torch.nan for k, v in s.items()} for n, s in w.items()},
            "stopped with TrainingDiverged",
        ),
    ],
)
def test_weights_that_cannot_be_trained_are_refused(
    site: Callable[..., Site], federation: Make, change: Callable[[Weights], Weights], said: str
) -> None:
    made, order = site(), order_of(federation())
    assert refusal_of(ask(made, messages.TRAIN, order, change(begun(order)))) == said
    assert not (made.folder / "rounds").exists(), "nothing is kept of it"


# ---- what a client keeps ----


def test_a_repeated_round_gives_the_same_weights(site: Callable[..., Site], federation: Make, family: str) -> None:
    made = site()
    first = train(made, order_of(federation(family)))
    second = order_of(federation(family), round=2, position=Position(4, 32, 24))
    once, again = train(made, second, first), train(made, second, first)
    assert equal(once, again) and not equal(once, first)


def test_a_precision_that_was_found_holds_for_the_whole_training(
    site: Callable[..., Site], federation: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, settings = site(), federation(train={"precision": "auto"})
    found = iter(["bf16", "fp32", "fp32"])
    monkeypatch.setattr("radcommons.federated.client.resolved", lambda asked, device: next(found))
    once, again = train(made, order_of(settings)), train(made, order_of(settings))
    assert equal(once, again) and next(found) == "fp32", "it was measured once"
    assert not equal(once, train(made, order_of(settings, training="b"))), "another training measures anew"


def test_only_the_states_of_two_rounds_are_kept(site: Callable[..., Site], federation: Make) -> None:
    made = site()
    for number in (1, 2, 3, 7):
        train(made, order_of(federation(), round=number))
    assert sorted(path.name for path in (made.folder / "rounds").iterdir()) == ["000003", "000007"]
    train(made, order_of(federation(), round=3))
    assert [path.name for path in (made.folder / "rounds").iterdir()] == ["000003"], (
        "the later one is of no use any more"
    )


def test_what_was_kept_of_another_training_is_not_used(
    site: Callable[..., Site], federation: Make, tmp_path: Path
) -> None:
    made = site()
    for number in (1, 2):
        train(made, order_of(federation(), round=number))
    later = order_of(federation(), round=3, training="b")
    fresh = Site("ours", made.store, tmp_path / "fresh")
    assert equal(train(made, later), train(fresh, later))


def test_a_client_gets_a_run_that_it_can_audit_with_the_critic(
    family: str, federation: Make, phantom_store: Store, tmp_path: Path
) -> None:
    settings = federation(family, clients=2, stores=[phantom_store.path] * 2, share="generator")
    simulate(settings, tmp_path / "out")
    run = tmp_path / "out" / "clients" / "client-02"
    subject = open_subject(run, phantom_store, track=silent)
    assert subject.patients == load_patients(run) is not None and subject.resolution == 16
    assert subject.critic is not None
    critic, manifest = subject.critic
    assert manifest == phantom_store.record.manifest_sha256
    own = torch.load(max((run / "rounds").iterdir()) / "checkpoint.pt", weights_only=True)["state"]["critic"]
    found = critic.state_dict()
    shared = [name for name in own if name in found and own[name].shape == found[name].shape]
    assert shared and all(torch.equal(own[name], found[name]) for name in shared), "the critic that stayed at home"


def test_a_part_of_a_store_gets_no_run(site: Callable[..., Site], federation: Make, phantom_store: Store) -> None:
    made = site(rows=phantom_store.rows("train")[:10])
    order = order_of(federation())
    messages.text_of(ask(made, messages.FINISH, finish_of(order), begun(order)).content, Trained)
    assert not made.folder.exists()


def test_a_log_of_a_refusal_is_one_line(
    site: Callable[..., Site], federation: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        ask(site(largest_iterations=1), messages.HELLO, Asked(settings=federation()))
    [record] = [r for r in caplog.records if r.name.startswith("radcommons")]
    assert "refused what the server asked for: this client does not allow local_iterations 2" in record.getMessage()
