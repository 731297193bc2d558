import numpy as np
import pytest
import torch
from flwr.app import ConfigRecord, RecordDict

from radcommons.errors import FederationFailed
from radcommons.federated import messages
from radcommons.federated.messages import Trained

WEIGHTS = {"generator": {"a.weight": torch.randn(3, 2), "b": torch.tensor(1.5)}, "critic": {"c": torch.randn(4)}}


def test_weights_come_back_as_they_were() -> None:
    back = messages.to_weights(messages.to_arrays(WEIGHTS, "fp32"))
    assert all(torch.equal(back[n][k], WEIGHTS[n][k]) for n in WEIGHTS for k in WEIGHTS[n])


def test_bf16_halves_the_bytes_and_rounds() -> None:
    whole, half = messages.to_arrays(WEIGHTS, "fp32"), messages.to_arrays(WEIGHTS, "bf16")
    back = messages.to_weights(half, "bf16")
    for network, state in WEIGHTS.items():
        for name, value in state.items():
            assert torch.equal(back[network][name], value.bfloat16().float())
    big = {"generator": {"w": torch.randn(1000, 100)}}
    sizes = [sum(len(a.data) for a in messages.to_arrays(big, kind).values()) for kind in ("fp32", "bf16")]  # type: ignore[arg-type]
    assert sizes[1] < 0.51 * sizes[0] and len(whole) == len(half)


def test_a_record_does_not_change_with_the_network_it_was_made_of() -> None:
    value = torch.zeros(3)
    record = messages.to_arrays({"generator": {"w": value}}, "fp32")
    value += 1
    assert np.array_equal(messages.to_numpy(record)["generator/w"], np.zeros(3))


def test_a_text_comes_back_and_a_refusal_is_an_error() -> None:
    told = Trained(images=3, numbers={"loss": 1.5}, seconds=2.0)
    assert messages.text_of(messages.with_text(told), Trained) == told
    with pytest.raises(FederationFailed, match="this client does not allow"):
        messages.text_of(messages.refusal("this client does not allow it"), Trained)


@pytest.mark.parametrize("content", [{}, {"text": ConfigRecord({"json": "{"})}, {"text": ConfigRecord({"other": 1})}])
def test_an_answer_that_cannot_be_read_is_an_error(content: dict[str, ConfigRecord]) -> None:
    with pytest.raises(FederationFailed, match="cannot be read"):
        messages.text_of(RecordDict(dict(content)), Trained)
