"""A client: answers a server's messages from the films of its own store, within its own limits."""

import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from flwr.app import ArrayRecord, Message

from radcommons.data.store import Store
from radcommons.data.training_patients import patients_record
from radcommons.errors import RadCommonsError, SettingRefused
from radcommons.federated import messages
from radcommons.federated.deployment.apps import FINISHED
from radcommons.federated.messages import Hello, Trained
from radcommons.federated.settings import ClientLimits
from radcommons.federated.task import Asked, Kept, Order, local_round, seed_of
from radcommons.files import write_whole
from radcommons.gan.findings import findings_record
from radcommons.gan.gradients import open_compute
from radcommons.gan.recipes import RECIPES
from radcommons.gan.training import Source, open_source
from radcommons.models.generator_files import RUN_SUBFOLDER, save_generator
from radcommons.precision import resolved
from radcommons.records import FederationRecord, FindingsRecord
from radcommons.runs import checkpoint
from radcommons.runs.distributed import Distributed

logger = logging.getLogger(__name__)

ROUNDS = "rounds"  # subfolder: what is kept after each of the last two rounds
PRECISION = "precision.txt"  # of a training with precision "auto": as it was found when it began here
COUNT = "rounds.txt"  # number of rounds that were begun here, of all trainings


class Finish(Order):
    """The end of the training: where it ended, what all sites publish, and the record of the federation."""

    published: FindingsRecord
    federation: FederationRecord


@dataclass
class Site:
    """A client's films and what it keeps.

    Attributes:
        name: what the server calls it.
        rows: of its films in the store; None for the training part.
        folder: where it keeps its state, and the generator in the end.
    """

    name: str
    store: Store
    folder: Path
    rows: np.ndarray | None = None
    limits: ClientLimits = field(default_factory=ClientLimits)

    def answer(self, message: Message) -> Message:
        """The reply to a message; what goes wrong is told without paths and without patients."""
        try:
            content = self._answers[message.metadata.message_type](self, message)
        except SettingRefused as error:
            logger.warning("refused what the server asked for: %s", error)
            told = str(error) if str(error).startswith("this client") else "its films do not fit the settings"
            content = messages.refusal(told)
        except RadCommonsError as error:
            logger.warning("%s", error)
            content = messages.refusal(f"stopped with {type(error).__name__}")
        except Exception as error:  # Flower would send its text to the server
            logger.exception("a message could not be answered")
            content = messages.refusal(f"stopped with {type(error).__name__}")
        return Message(content, reply_to=message)

    def hello(self, message: Message) -> Any:
        """What the films are; raises SettingRefused if the limits do not allow what is asked for."""
        asked = messages.text_of(message.content, Asked).settings
        self.limits.refuse(asked, asked.train.findings or (), rounds=self._rounds_begun() + 1)
        labels = self.store.labels(self._rows)
        allowed = self.limits.findings
        columns = [n for n, finding in enumerate(self.store.findings) if allowed is None or finding in allowed]
        hello = Hello(
            name=self.name,
            films=len(labels),
            findings=tuple(self.store.findings[n] for n in columns),
            positives=tuple(np.nansum(labels, axis=0)[columns].tolist()),
            known=tuple(np.isfinite(labels).sum(axis=0)[columns].tolist()),
            largest_resolution=self.store.resolutions[-1],
        )
        return messages.with_text(hello)

    def findings(self, message: Message) -> Any:
        """How the findings occur together, without rare combinations."""
        order = self._order(message, Order)
        return messages.with_text(findings_record(self.store, self._rows, order.findings))

    def train(self, message: Message) -> Any:
        """A round."""
        order, started = self._order(message, Order), time.monotonic()
        rounds = self._rounds_begun() + 1
        self.limits.refuse(order.settings, order.findings, rounds=rounds)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / COUNT, f"{rounds}\n")
        alone = Distributed(0, 1, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        source = self._source(order, order.numbers[message.metadata.dst_node_id], alone)
        with open_compute(self._precision(order, alone), alone) as compute:
            weights = messages.to_weights(self._arrays(message), order.settings.transfer)
            sent, kept, images, numbers = local_round(
                order, weights, self._kept(order, order.round, alone), source, compute, self._allow(order)
            )
            self._keep(order, kept)
        trained = Trained(images=images, numbers=numbers, seconds=time.monotonic() - started)
        return messages.with_text(trained, messages.to_arrays(sent, order.settings.transfer))

    def finish(self, message: Message) -> Any:
        """Write the generator, with this site's own list of patients, and the critic, for the audit.

        A part of a store writes nothing: an audit compares a generator with the whole training part.
        """
        order = self._order(message, Finish)
        if self.rows is not None:
            return messages.with_text(Trained(images=0, numbers={}, seconds=0.0))
        weights = messages.to_weights(self._arrays(message))
        self.folder.mkdir(parents=True, exist_ok=True)
        alone = Distributed(0, 1, torch.device("cpu"))
        settings = order.settings.train
        with open_compute("fp32", alone) as compute:
            training = RECIPES[settings.family].training(settings, order.summary, compute)
        kept, begun = self._kept(order, order.round + 1, alone), training.state()
        at_home = kept.critic if kept and kept.critic else {}
        critic = begun["critic"] | at_home | weights.get("critic", {})
        training.load_state(begun | {"ema": begun["ema"] | weights["generator"], "critic": critic})
        state = {"critic": critic, "manifest_sha256": self.store.record.manifest_sha256}
        checkpoint.save(self.folder, state)
        settings.save(self.folder / "config.toml")
        network, config = training.published(order.position.last_step_at)
        save_generator(
            self.folder / RUN_SUBFOLDER,
            network,
            order.published,
            family=settings.family,
            config=config,
            name="federation",
            images_seen=order.position.images_seen,
            patients=patients_record(self.store, self._rows),
            federation=order.federation,
        )
        write_whole(self.folder / FINISHED, order.federation.to_json())  # it says that all is there
        return messages.with_text(Trained(images=0, numbers={}, seconds=0.0))

    _answers: ClassVar = {
        messages.HELLO: hello, messages.FINDINGS: findings, messages.TRAIN: train, messages.FINISH: finish
    }  # fmt: skip

    @property
    def _rows(self) -> np.ndarray:
        return self.store.rows("train") if self.rows is None else self.rows

    def _order(self, message: Message, kind: type[Any]) -> Any:
        order = messages.text_of(message.content, kind)
        self.limits.refuse(order.settings, order.findings)
        return order

    def _allow(self, order: Order) -> Callable[[int], None]:
        return lambda images: self.limits.refuse(order.settings, order.findings, images=images)

    def _rounds_begun(self) -> int:
        """Counted here: a server can give its rounds any number."""
        path = self.folder / COUNT
        return int(path.read_text(encoding="utf-8")) if path.exists() else 0

    def _precision(self, order: Order, alone: Distributed) -> str:
        """A measurement would not have the same result in every round, and a repeated round would differ."""
        path, asked = self.folder / PRECISION, order.settings.train.precision
        begun = path.read_text(encoding="utf-8").split() if path.exists() else []
        if asked == "auto" and begun[:1] == [order.training]:
            return begun[1]
        precision = resolved(asked, alone.device)
        write_whole(path, f"{order.training} {precision}\n")
        return precision

    def _source(self, order: Order, number: int, alone: Distributed) -> Source:
        settings = order.settings
        return open_source(
            self.store, settings.train, alone, findings=order.findings, rows=self._rows, seed=seed_of(settings, number)
        )

    @staticmethod
    def _arrays(message: Message) -> ArrayRecord:
        arrays = message.content[messages.ARRAYS]
        if not isinstance(arrays, ArrayRecord):
            raise SettingRefused("this client got no weights")
        return arrays

    def _kept(self, order: Order, before: int, alone: Distributed) -> Kept | None:
        """What was kept after the last round before `before`: a server that was killed repeats a round."""
        for folder in sorted((self.folder / ROUNDS).glob("*"), reverse=True):
            if int(folder.name) < before and (found := checkpoint.load(folder, alone.device)) is not None:
                state = found[0]
                return Kept(**state) if state.pop("training") == order.training else None
        return None

    def _keep(self, order: Order, kept: Kept) -> None:
        """Keep it and what was kept before; what lies there of later rounds is of another training, or repeated."""
        folder = self.folder / ROUNDS / f"{kept.round:06d}"
        folder.mkdir(parents=True, exist_ok=True)
        checkpoint.save(folder, vars(kept) | {"training": order.training})
        rounds = sorted((self.folder / ROUNDS).glob("*"))
        at = rounds.index(folder)
        for old in (*rounds[: max(0, at - 1)], *rounds[at + 1 :]):
            shutil.rmtree(old)
