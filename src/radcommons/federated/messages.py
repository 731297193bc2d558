"""What server and clients send each other, as Flower's records: weights, and one JSON text."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Self, TypeVar

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from pydantic import BaseModel, Field, FiniteFloat, NonNegativeInt, PositiveInt, ValidationError, model_validator

from radcommons.errors import FederationFailed
from radcommons.federated.settings import ClientName, Transfer
from radcommons.federated.task import Weights

ARRAYS, TEXT = "arrays", "text"  # names of the records in a message; "arrays" is the name that FedAvg takes by default
HELLO, FINDINGS, TRAIN, FINISH = "query.hello", "query.findings", "train", "query.finish"  # types of messages
NotNegative = Annotated[FiniteFloat, Field(ge=0)]
MOST_SAID = 300  # characters of a refusal
M = TypeVar("M", bound=BaseModel)


class Hello(BaseModel):
    """What a client says of its films before the training.

    Attributes:
        name: what the server calls it.
        films: number of training films.
        findings: that its films are labelled for.
        positives, known: for each finding, number of films with it, and of those where it is known.
        largest_resolution: of its films, pixels.
    """

    name: ClientName
    films: PositiveInt
    findings: tuple[str, ...]
    positives: tuple[NotNegative, ...]
    known: tuple[NonNegativeInt, ...]
    largest_resolution: PositiveInt

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        counts = list(zip(self.findings, self.positives, self.known, strict=True))
        if any(positives > known or known > self.films for _, positives, known in counts):
            raise ValueError("more films have a finding than there are")
        return self


class Trained(BaseModel):
    """What a client says of a round.

    Attributes:
        images: films shown.
        numbers: mean of each number of its steps.
        seconds: that it computed.
    """

    images: NonNegativeInt
    numbers: dict[Annotated[str, Field(pattern=r"^\w{1,60}$")], FiniteFloat] = Field(max_length=50)
    seconds: NotNegative


def refusal(reason: str) -> RecordDict:
    """What a client sends that does not do what it was asked for; without paths or patients."""
    return RecordDict({TEXT: ConfigRecord({"refused": reason})})


def with_text(content: BaseModel, arrays: ArrayRecord | None = None) -> RecordDict:
    """A message's content."""
    record = RecordDict({TEXT: ConfigRecord({"json": content.model_dump_json()})})
    if arrays is not None:
        record[ARRAYS] = arrays
    return record


def text_of(content: RecordDict, kind: type[M]) -> M:
    """The text of a message; raises FederationFailed with the reason if it was refused or is another."""
    try:
        record = content.config_records[TEXT]
        if "refused" in record:
            reason = str(record["refused"])[:MOST_SAID]
            raise FederationFailed("".join(c if c.isprintable() else " " for c in reason))
        return kind.model_validate_json(str(record["json"]))
    except (LookupError, ValidationError):
        raise FederationFailed("sent an answer that cannot be read") from None


def to_arrays(weights: Weights, transfer: Transfer) -> ArrayRecord:
    """Weights as one record, since FedAvg takes one; names begin with that of the network."""
    return record_of(
        {
            f"{network}/{name}": _numbers(tensor, transfer)
            for network, state in weights.items()
            for name, tensor in state.items()
        }
    )


def record_of(arrays: Mapping[str, np.ndarray]) -> ArrayRecord:
    """Arrays by name as a record."""
    return ArrayRecord({name: Array(array) for name, array in arrays.items()})


def to_numpy(arrays: ArrayRecord, transfer: Transfer = "fp32") -> dict[str, np.ndarray]:
    """The arrays of a record by name, bf16 as float32; raises ValueError if they did not come as `transfer` says."""
    return {name: _float32(array.numpy()) if transfer == "bf16" else array.numpy() for name, array in arrays.items()}


def in_order(arrays: ArrayRecord, names: Iterable[str], transfer: Transfer) -> ArrayRecord:
    """Arrays by name as float32 and in the order of `names`: Flower's clipping pairs arrays by their place."""
    if transfer == "bf16":
        return record_of({name: _float32(arrays[name].numpy()) for name in names})
    return ArrayRecord({name: arrays[name] for name in names})


def to_weights(arrays: ArrayRecord, transfer: Transfer = "fp32") -> Weights:
    """The networks of a record."""
    weights: Weights = {}
    for name, array in to_numpy(arrays, transfer).items():
        network, _, key = name.partition("/")
        weights.setdefault(network, {})[key] = torch.from_numpy(array)
    return weights


def _numbers(tensor: torch.Tensor, transfer: Transfer) -> np.ndarray:
    tensor = tensor.detach().cpu().contiguous()
    if transfer == "bf16":
        return tensor.to(torch.bfloat16).view(torch.uint16).numpy()  # NumPy has no bf16
    return tensor.numpy().copy()  # the network goes on in the tensor


def _float32(array: np.ndarray) -> np.ndarray:
    if array.dtype != np.uint16:
        raise ValueError("no bf16")
    return torch.from_numpy(array.copy()).view(torch.bfloat16).float().numpy()


def answering(answer: Callable[[Message, Context], Message]) -> ClientApp:
    """A ClientApp that gives every message to one function."""
    app = ClientApp()
    app.train()(answer)
    for kind in (HELLO, FINDINGS, FINISH):
        app.query(kind.partition(".")[2])(answer)
    return app
