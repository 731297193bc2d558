"""The server: rounds of training by clients, until all films are shown; every round can be resumed."""

import logging
import secrets
import shlex
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.serverapp import Grid
from flwr.serverapp.exception import PrivacyBudgetExhausted
from flwr.serverapp.strategy import DifferentialPrivacyServerSideFixedClipping
from pydantic import BaseModel

from radcommons.errors import FederationFailed, SettingRefused
from radcommons.federated import messages, screening
from radcommons.federated.client import Finish
from radcommons.federated.deployment.apps import FLOWER
from radcommons.federated.messages import Hello, Trained
from radcommons.federated.settings import FederatedSettings
from radcommons.federated.strategies import WEIGHT, grid_of, noise_of, strategy_of
from radcommons.federated.task import Asked, Order, Weights, after_round, move_ema, weights_of
from radcommons.folders import alone_in
from radcommons.gan.gradients import open_compute
from radcommons.gan.recipe import Position, Training
from radcommons.gan.recipes import RECIPES
from radcommons.gan.training import sample_rows, sample_sheet
from radcommons.models.generator_files import RUN_SUBFOLDER, save_generator
from radcommons.progress import Track, silent
from radcommons.records import ClientPrivacy, FederationRecord, FindingsRecord, PatientsRecord
from radcommons.runs import checkpoint
from radcommons.runs.distributed import Distributed
from radcommons.runs.folder import claim_folder, require_claimable
from radcommons.runs.log import RunLog
from radcommons.runs.page import About
from radcommons.seeds import numpy_stream

logger = logging.getLogger(__name__)

ALONE = Distributed(0, 1, torch.device("cpu"))
POLL_SECONDS = 1.0
MOST_FAILURES = 3  # rounds in a row that do not count
QUESTION_SECONDS = 600.0  # for an answer that needs no training
UNCHANGED = 1e-12  # length of a change that Flower's clipping would divide by
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class FederationOutcome:
    """What one call of `federate` did.

    Attributes:
        rounds, images_seen: of the whole training.
        budget_spent: whether it ended because another round would exceed the largest epsilon.
    """

    out: Path
    rounds: int
    images_seen: int
    finished: bool
    budget_spent: bool
    federation: FederationRecord


@dataclass(frozen=True, slots=True)
class Client:
    """A client as the server knows it; `node` is Flower's identifier."""

    name: str
    number: int
    films: int
    node: int


def federate(
    grid: Grid,
    settings: FederatedSettings,
    out: Path,
    *,
    patients: PatientsRecord | None = None,
    manifest: str = "",
    track: Track = silent,
    should_stop: Callable[[], bool] = lambda: False,
    watch: Callable[[Path], None] = lambda page: None,
) -> FederationOutcome:
    """Train until `total_images`; the same call continues after a stop or a kill, to the same weights.

    Args:
        grid: Flower's way to the clients.
        out: folder of the run; a later `radcommons audit` finds in it what it finds in any run.
        patients, manifest: of the store, where all clients' films are its training part.
        watch: is given the page on which people see how the training goes, once it is there.
    Raises:
        FederationFailed: too few clients, or too few answers that can be used, three rounds in a row.
        PathInUse, SettingRefused.
    """
    with alone_in(out, private=True), open_compute("fp32", ALONE) as compute:
        server = _Server(grid, settings, out, patients, manifest)
        require_claimable(out, settings, _nothing, ours=(FLOWER,))
        server.begin(compute)  # settings that do not fit the clients' films leave no folder behind
        claim_folder(out, settings, _nothing, ours=(FLOWER,))
        return server.run(track, should_stop, watch)


def require_possible(settings: FederatedSettings, out: Path, keys: int) -> None:
    """Raise what can be known to stop a training before any client is asked.

    Args:
        keys: number of clients that will be let in.
    Raises:
        SettingRefused: no round is within the largest epsilon, or there are fewer clients than needed.
        PathInUse: the folder belongs to another training.
    """
    require_claimable(out, settings, _nothing, ours=(FLOWER,))
    strategy_of(settings)
    begun = checkpoint.checkpoint_file(out).exists()
    if keys < (needed := settings.fewest_clients if begun else settings.clients):
        raise SettingRefused(
            f"{needed} clients are needed, and there are the keys of {keys}; add keys, or lower 'clients'"
        )


def _nothing(begun: FederatedSettings, asked: FederatedSettings) -> tuple[str, ...]:
    """The settings that may change on the way."""
    return ()


class _Server:
    """A training in progress."""

    def __init__(
        self, grid: Grid, settings: FederatedSettings, out: Path, patients: PatientsRecord | None, manifest: str
    ) -> None:
        self.grid, self.settings, self.out = grid, settings, out
        self.patients, self.manifest = patients, manifest
        self.strategy = strategy_of(settings)
        self.round, self.position = 0, Position()
        self.known: dict[int, Hello] = {}  # by node
        self.left_out: set[int] = set()  # nodes
        self.of_all: tuple[str, ...] | None = None  # names, once the training has begun

    def begin(self, compute: Any) -> None:
        """Wait for the clients, and take up what is there."""
        saved = checkpoint.load(self.out, ALONE.device)
        state = saved[0] if saved else None
        if saved is not None:
            checkpoint.set_damaged_aside(self.out, saved[1])
            self.of_all = tuple(saved[0]["clients"])
        self._wait_for(self.settings.clients if state is None else self.settings.fewest_clients)
        if state is None:
            hellos = sorted(self.known.values(), key=lambda hello: hello.name)
            self.of_all = tuple(hello.name for hello in hellos)
            self.findings = self._common_findings(hellos)
            means = self._label_means(hellos)
            self.films = sum(hello.films for hello in hellos)
            self.identifier, self.secret = secrets.token_hex(16), secrets.token_hex(32)
        else:
            self.findings, means, self.films = tuple(state["findings"]), tuple(state["label_means"]), state["films"]
            self.identifier, self.secret = state["training"], state["secret"]
        self.label_means = means
        train = self.settings.train
        self.order = Order(
            settings=self.settings, training=self.identifier, findings=self.findings, films=self.films,
            label_means=means, round=0, position=self.position, sites=1, numbers={},
        )  # fmt: skip
        self.training: Training = RECIPES[train.family].training(train, self.order.summary, compute)
        self.optimisers = self.training.state()["optimisers"]
        if state is None:
            begun = self.training.state()
            self.weights = weights_of(begun, self.settings, len(self.findings))
            self.ema = {name: value.clone() for name, value in begun["ema"].items()}
            self.published = self._published()
        else:
            self.weights, self.ema = weights_of(state, self.settings, len(self.findings)), state["ema"]
            self.round, self.position = state["round"], Position(**state["position"])
            self.published = FindingsRecord.model_validate_json(state["published"])
            if self._privacy is not None:
                assert self._privacy.accountant is not None
                self._privacy.accountant.load_state_dict(state["privacy"])

    def run(self, track: Track, should_stop: Callable[[], bool], watch: Callable[[Path], None]) -> FederationOutcome:
        """The rounds that are left, and the end."""
        total, failures, spent, stopped = self.settings.train.total_images, 0, False, False
        every = self.settings.train
        with ExitStack() as stack:
            log = stack.enter_context(RunLog(self.out, self.position.images_seen, self._about()))
            if log.page is not None:
                watch(log.page)
            report = stack.enter_context(track("Training together", total=total, done=self.position.images_seen))
            while self.position.images_seen < total and not spent and not stopped:
                before, started = self.position.images_seen, time.monotonic()
                try:
                    numbers = self._one_round()
                except PrivacyBudgetExhausted:
                    spent = True
                    break
                if numbers is None:
                    failures += 1
                    if failures == MOST_FAILURES:
                        raise FederationFailed(
                            f"{MOST_FAILURES} rounds in a row did not count; see the log; the same command goes on at "
                            f"round {self.round + 1}"
                        )
                    stopped = should_stop()
                    continue
                failures, now = 0, self.position.images_seen
                report(now - before)
                self._save()
                side = self.training.batch_at(self.position.last_step_at)[1]
                place = {"images_seen": now, "round": self.round, "resolution": side}
                log.numbers({**numbers, **place, "seconds": time.monotonic() - started})
                if now // every.samples_every != before // every.samples_every or now >= total:
                    network, config = self._network()
                    log.samples(
                        sample_sheet(network, config, self.findings, every.seed, ALONE.device), now, config.side
                    )
                if now // every.checkpoint_every != before // every.checkpoint_every:
                    self._publish()
                stopped = should_stop()
            if self.round:
                self._publish()
            finished = spent or self.position.images_seen >= total
            if finished:
                self._finish()
            log.finished = finished
        return FederationOutcome(
            self.out, self.round, self.position.images_seen, finished, spent, self._federation_record()
        )

    # ---- a round ----

    def _one_round(self) -> dict[str, float] | None:
        """Train with some clients and average; None if the round does not count."""
        chosen, number = self._chosen(), self.round + 1
        order = self.order.model_copy(
            update={
                "round": number, "position": self.position, "sites": len(chosen),
                "numbers": {client.node: client.number for client in chosen},
            }
        )  # fmt: skip
        arrays = messages.to_arrays(self.weights, self.settings.transfer)
        given = messages.to_numpy(arrays, self.settings.transfer)
        in_fp32 = arrays if self.settings.transfer == "fp32" else messages.record_of(given)
        nodes = grid_of(client.node for client in chosen)
        questions = list(self.strategy.configure_train(number, in_fp32, ConfigRecord(), nodes))
        for question in questions:
            question.content = messages.with_text(order, arrays)
            question.metadata.group_id = f"round {number}"
        replies = self._replies(questions, self.settings.round_seconds)
        accepted, told, refused = self._screened(replies, chosen, given)
        for name, reason in refused.items():
            logger.warning("round %d: %s %s; its weights are left out", number, name, reason)
        averaged = None
        if len(accepted) >= self.settings.fewest_clients or self._privacy is not None:
            with noise_of(self.secret, number):  # differential privacy takes the weights of all, or gives none
                averaged, _ = self.strategy.aggregate_train(number, accepted)
        if averaged is None:
            logger.warning(
                "round %d does not count: %d clients sent weights that can be used, and %d are needed",
                number, len(accepted), self.settings.fewest_clients,
            )  # fmt: skip
            return None
        self._take(messages.to_weights(averaged), len(chosen), len(accepted))
        self.round = number
        return _means(told) | {"clients": len(accepted), "bytes_a_client": sum(len(a.data) for a in arrays.values())}

    def _chosen(self) -> list[Client]:
        """The clients of the next round, by the seed; those who are not there are passed over; waits for enough."""
        order = numpy_stream(self.settings.train.seed, "round", self.round + 1)
        ranks = order.permutation(self.settings.clients)
        self._wait_for(self.settings.fewest_clients)
        clients = sorted(self._clients(), key=lambda client: int(ranks[client.number]))
        return sorted(clients[: self.settings.clients_a_round], key=lambda client: client.number)

    def _screened(
        self, replies: dict[int, Message], chosen: list[Client], given: screening.Arrays
    ) -> tuple[list[Message], list[Trained], dict[str, str]]:
        """The replies that can be averaged, as FedAvg takes them, and why the others are refused, by client."""
        told: dict[str, Trained] = {}
        kept: dict[str, Message] = {}
        changes: dict[str, float] = {}
        refused = {client.name: "did not answer in time" for client in chosen}
        for client in chosen:
            if (reply := replies.get(client.node)) is None:
                continue
            try:
                told[client.name] = _text(reply, Trained)
                sent = reply.content.array_records[messages.ARRAYS]
                arrays = messages.to_numpy(sent, self.settings.transfer)
                fault = screening.fault(arrays, given)
            except FederationFailed as error:
                fault = str(error)
            except Exception:  # of whatever a client sent
                fault = "sent an answer that cannot be read"
            refused.pop(client.name)
            if fault:
                refused[client.name] = fault
            else:
                changes[client.name] = screening.change(arrays, given)
                weight = 1.0 if self.settings.privacy else float(client.films)
                reply.content = RecordDict(
                    {
                        messages.ARRAYS: messages.in_order(sent, given, self.settings.transfer),
                        "metrics": MetricRecord({WEIGHT: weight}),
                    }
                )
                kept[client.name] = reply
        if self._privacy is None:
            refused |= screening.too_long(changes, self.settings.largest_update)
        else:
            refused |= {name: "sent the weights back unchanged" for name in kept if changes[name] < UNCHANGED}
        accepted = [client.name for client in chosen if client.name in kept and client.name not in refused]
        return [kept[name] for name in accepted], [told[name] for name in accepted], refused

    def _take(self, averaged: Weights, sites: int, counted: int) -> None:
        """Go on from the averaged weights."""
        self.weights = {
            network: {name: averaged[network][name].to(old.dtype) for name, old in state.items()}
            for network, state in self.weights.items()
        }
        move_ema(self.ema, self.weights["generator"], self.settings, self.training, self.position, sites)
        self.position = after_round(self.settings, self.training, self.position, sites, counted)

    # ---- questions without training ----

    def _wait_for(self, number: int) -> None:
        """Ask new nodes who they are, until so many clients are there."""
        begun, said = time.monotonic(), None
        while True:
            self._meet(set(self.grid.get_node_ids()))
            if (there := len(self._clients())) >= number:
                return
            if there != said:
                logger.warning("%d of %d clients are there", there, number)
                said = there
            if time.monotonic() - begun > self.settings.round_seconds:
                raise FederationFailed(
                    f"{there} clients are there and {number} are needed; start the others, and the same command goes on"
                )
            time.sleep(POLL_SECONDS)

    def _meet(self, there: set[int]) -> None:
        """Ask new nodes who they are; a client that comes back may have another identifier.

        A training cannot begin if one of them refuses or two have one name; later they are left out.
        """
        self.known = {node: hello for node, hello in self.known.items() if node in there}
        self.left_out &= there
        for node, hello in self._ask(there - self.known.keys() - self.left_out, messages.HELLO, Hello).items():
            try:
                if isinstance(hello, FederationFailed):
                    raise FederationFailed(f"a client cannot take part (node {node}): {hello}")
                if hello.name in {other.name for other in self.known.values()} and self.of_all is None:
                    raise FederationFailed(
                        f"two clients are called {hello.name}; give them other names in their limits"
                    )
                if len(self.known) == self.settings.clients and self.of_all is None:
                    raise FederationFailed(f"more than {self.settings.clients} clients are there; raise 'clients'")
                if self.of_all is not None and hello.name not in self.of_all:
                    raise FederationFailed(f"{hello.name} came after the training had begun and takes no part")
            except FederationFailed as error:
                if self.of_all is None:
                    raise
                logger.warning("%s", error)
                self.left_out.add(node)
            else:
                self.known[node] = hello

    def _clients(self) -> list[Client]:
        """The clients that are there, by number; of two with one name the one that was there before."""
        first: dict[str, tuple[int, Hello]] = {}
        for node, hello in self.known.items():
            first.setdefault(hello.name, (node, hello))
        names = sorted(first) if self.of_all is None else self.of_all
        return [Client(n, number, first[n][1].films, first[n][0]) for number, n in enumerate(names) if n in first]

    def _ask(self, nodes: Iterable[int], kind: str, answer: type[M]) -> dict[int, M | FederationFailed]:
        """The answer of each node, or why there is none; who does not answer in time is left out."""
        content = Asked(settings=self.settings) if kind == messages.HELLO else self.order
        asked = [Message(messages.with_text(content), node, kind, group_id="questions") for node in sorted(nodes)]
        answers: dict[int, M | FederationFailed] = {}
        for node, reply in self._replies(asked, QUESTION_SECONDS).items():
            try:
                answers[node] = _text(reply, answer)
            except FederationFailed as error:
                answers[node] = error
        return answers

    def _replies(self, asked: list[Message], seconds: float) -> dict[int, Message]:
        """The replies by node; the SuperLink replies itself, with an error, for a node that is gone."""
        replies = self.grid.send_and_receive(asked, timeout=seconds) if asked else ()
        nodes = {message.metadata.message_id: message.metadata.dst_node_id for message in asked}
        by_node = {}
        for reply in replies:
            sender = reply.metadata.src_node_id
            by_node[nodes[reply.metadata.reply_to_message_id] if sender == SUPERLINK_NODE_ID else sender] = reply
        return by_node

    def _published(self) -> FindingsRecord:
        answers = self._ask(self.known, messages.FINDINGS, FindingsRecord)
        for node, hello in self.known.items():
            answer = answers.get(node, FederationFailed("did not answer in time"))
            if isinstance(answer, FederationFailed):
                raise FederationFailed(f"{hello.name} {answer}, when asked how its findings occur together")
            if answer.findings != self.findings:
                raise FederationFailed(f"{hello.name} told of other findings than it was asked for")
        return merged_findings([answer for answer in answers.values() if isinstance(answer, FindingsRecord)])

    def _common_findings(self, hellos: list[Hello]) -> tuple[str, ...]:
        """Those that the settings name, or those that every client labels and some film has."""
        in_all = [f for f in hellos[0].findings if all(f in hello.findings for hello in hellos)]
        present = [f for f in in_all if any(hello.positives[hello.findings.index(f)] > 0 for hello in hellos)]
        asked = self.settings.train.findings or tuple(present)
        if others := [f for f in asked if f not in in_all]:
            raise SettingRefused(
                f"not every client labels {', '.join(others)}; in all are: {', '.join(in_all) or 'none'}"
            )
        if not asked or (absent := [f for f in asked if f not in present]):
            raise SettingRefused(
                f"no client has a film with {', '.join(absent) if asked else 'a finding that all of them label'}; "
                f"with films are: {', '.join(present) or 'none'}"
            )
        resolution = self.settings.train.resolution
        if small := [f"{h.name} ({h.largest_resolution})" for h in hellos if h.largest_resolution < resolution]:
            raise SettingRefused(f"resolution is {resolution}, more than the films of {', '.join(small)}; lower it")
        largest = max(stage.batch_size for stage in RECIPES[self.settings.train.family].stages(self.settings.train))
        if few := [f"{hello.name} ({hello.films})" for hello in hellos if hello.films < largest]:
            raise SettingRefused(f"a batch has {largest} films, more than {', '.join(few)}; lower batch_size")
        return asked

    def _label_means(self, hellos: list[Hello]) -> tuple[float, ...]:
        """Mean of each finding over the films of all clients where it is known."""
        means = []
        for finding in self.findings:
            at = [(hello, hello.findings.index(finding)) for hello in hellos]
            means.append(sum(h.positives[i] for h, i in at) / max(1, sum(h.known[i] for h, i in at)))
        return tuple(means)

    # ---- files ----

    def _about(self) -> About:
        """What the run's page says besides its log."""
        settings, folder = self.settings, shlex.quote(str(self.out.resolve()))
        return About(
            title=f"Federated training of {settings.clients} clients",
            films=f"The generator learns from {self.films:,} films that stay with the clients.",
            total_images=settings.train.total_images,
            resolution=RECIPES[settings.train.family].stages(settings.train)[-1].resolution,
            rows=sample_rows(self.findings),
            settings=settings.model_dump(mode="json"),
            resume="",
            audit=f"radcommons audit {folder} STORE --out {folder}-audit --controls",
        )

    @property
    def _privacy(self) -> DifferentialPrivacyServerSideFixedClipping | None:
        return self.strategy if isinstance(self.strategy, DifferentialPrivacyServerSideFixedClipping) else None

    def _save(self) -> None:
        state = {
            **self.weights, "ema": self.ema, "training": self.identifier, "secret": self.secret,
            "round": self.round, "position": asdict(self.position), "clients": list(self.of_all or ()),
            "findings": list(self.findings), "films": self.films, "label_means": list(self.label_means),
            "published": self.published.to_json(), "manifest_sha256": self.manifest,
        }  # fmt: skip
        if "critic" in self.weights:  # whole, for the audit; what does not travel follows from the settings
            state["critic"] = self.training.state()["critic"] | self.weights["critic"]
        if self._privacy is not None:
            assert self._privacy.accountant is not None
            state["privacy"] = self._privacy.accountant.state_dict()
        checkpoint.save(self.out, state)

    def _network(self) -> tuple[torch.nn.Module, Any]:
        """The generator as it is published."""
        state = self.training.state()
        self.training.load_state({**state, "ema": self.ema, "optimisers": self.optimisers})
        return self.training.published(self.position.last_step_at)

    def _publish(self) -> None:
        network, config = self._network()
        save_generator(
            self.out / RUN_SUBFOLDER, network, self.published, family=self.settings.train.family, config=config,
            name="federation", images_seen=self.position.images_seen, patients=self.patients,
            federation=self._federation_record(),
        )  # fmt: skip

    def _finish(self) -> None:
        """Give every client the generator; who is not there gets it from the server's operator."""
        order = {**dict(self.order), "round": self.round, "position": self.position}
        finish = Finish(**order, published=self.published, federation=self._federation_record())
        weights = self.weights | {"generator": self.ema}
        content = messages.with_text(finish, messages.to_arrays(weights, "fp32"))
        self._meet(set(self.grid.get_node_ids()))
        clients = {client.node: client.name for client in self._clients()}
        asked = [Message(content, node, messages.FINISH, group_id="the generator") for node in clients]
        missing = dict.fromkeys(self.of_all or (), "is not there") | dict.fromkeys(clients.values(), "is silent")
        for node, reply in self._replies(asked, QUESTION_SECONDS).items():
            try:
                _text(reply, Trained)
                missing.pop(clients[node])
            except FederationFailed as error:
                missing[clients[node]] = str(error)
        for name, reason in missing.items():
            logger.warning("%s has not taken the generator: it %s; the same command offers it again", name, reason)

    def _federation_record(self) -> FederationRecord:
        settings, privacy = self.settings, None
        if self._privacy is not None and settings.privacy is not None and (spent := self._privacy.privacy_spent()):
            privacy = ClientPrivacy(
                epsilon=spent.epsilon, delta=spent.delta, noise_multiplier=settings.privacy.noise_multiplier,
                clipping_norm=settings.privacy.clipping_norm, releases=spent.num_releases,
            )  # fmt: skip
        return FederationRecord(
            clients=self.settings.clients, films=self.films, rounds=self.round, share=settings.share,
            aggregation=settings.aggregation, local_iterations=settings.local_iterations, privacy=privacy,
        )  # fmt: skip


def merged_findings(records: list[FindingsRecord]) -> FindingsRecord:
    """How the findings occur together at all sites; each has left out its rare combinations itself."""
    counts: dict[tuple[int, ...], int] = {}
    for record in records:
        for labels, images in record.combinations:
            counts[labels] = counts.get(labels, 0) + images
    return FindingsRecord(
        findings=records[0].findings,
        combinations=tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
        smallest_cell=min(record.smallest_cell for record in records),
        withheld_images=sum(record.withheld_images for record in records),
    )


def _text(reply: Message, kind: type[M]) -> M:
    """The text of a reply; raises FederationFailed also for what Flower reports as an error."""
    if reply.has_error():
        gone = reply.error.code == ErrorCode.NODE_UNAVAILABLE
        why = "is no longer connected" if gone else f"Flower's error {reply.error.code}"
        raise FederationFailed(f"did not answer ({why})")
    return messages.text_of(reply.content, kind)


def _means(told: list[Trained]) -> dict[str, float]:
    names = {name: None for one in told for name in one.numbers}
    of_all = {name: [one.numbers[name] for one in told if name in one.numbers] for name in names}
    slowest = max((one.seconds for one in told), default=0.0)
    return {name: sum(values) / len(values) for name, values in of_all.items()} | {"slowest_client_seconds": slowest}
