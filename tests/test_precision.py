import pytest
import torch

from radcommons import precision
from radcommons.precision import autocast_in, bf16_is_fast, resolved

CPU = torch.device("cpu")


@pytest.mark.parametrize(("fast", "expected"), [(True, "bf16"), (False, "fp32")])
def test_auto_is_what_was_measured(monkeypatch: pytest.MonkeyPatch, fast: bool, expected: str) -> None:
    monkeypatch.setattr(precision, "bf16_is_fast", lambda device: fast)
    assert resolved("auto", CPU) == expected
    assert resolved("fp32", CPU) == "fp32" and resolved("bf16", CPU) == "bf16"


@pytest.mark.parametrize(("milliseconds", "expected"), [((3.0, 1.9), True), ((3.0, 2.1), False)])
def test_the_decision_is_by_time_alone(
    monkeypatch: pytest.MonkeyPatch, milliseconds: tuple[float, float], expected: bool
) -> None:
    """A clock that a convolution in each precision moves by a known time."""
    now = 0.0

    def convolve(x: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        nonlocal now
        now += milliseconds[x.dtype == torch.bfloat16]
        return x

    monkeypatch.setattr(precision.F, "conv2d", convolve)
    monkeypatch.setattr(precision.time, "perf_counter", lambda: now)
    assert bf16_is_fast(torch.device("cpu")) is expected


def test_mixed_precision_convolves_in_bf16_and_fp32_changes_nothing() -> None:
    x, weight = torch.randn(1, 2, 4, 4), torch.randn(2, 2, 3, 3)
    for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        with autocast_in(name, CPU)():
            assert torch.nn.functional.conv2d(x, weight).dtype == dtype
