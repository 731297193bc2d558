"""The kernels for CPUs, behind their one entry, against the plain formulas of the layers; both in float32."""

import pytest
import torch

from radcommons.models import cpu
from radcommons.models.families.progan import Critic, GeneratorNetwork, ProganConfig

WIDE = ProganConfig(resolution=16, channels={4: 64, 8: 64, 16: 32}, latent_size=8, findings=3)


def values_and_gradients(fade: float) -> list[torch.Tensor]:
    """Images, scores and logits of both networks, and the gradients of their sum."""
    torch.manual_seed(0)
    generator, critic = GeneratorNetwork(WIDE), Critic(WIDE)
    images = generator(torch.randn(4, 8), torch.rand(4, 3), 16, fade)
    scores, logits = critic(images, fade=fade)
    (scores.sum() + logits.square().sum()).backward()
    parameters = [*generator.parameters(), *critic.parameters()]
    return [images, scores, logits, *(p.grad for p in parameters if p.grad is not None)]


@pytest.mark.parametrize("fade", [0.4, 1.0])
def test_with_and_without_the_kernels_values_and_gradients_are_equal(
    monkeypatch: pytest.MonkeyPatch, fade: float
) -> None:
    fast = values_and_gradients(fade)
    monkeypatch.setattr(cpu, "suits", lambda x: False)
    plain = values_and_gradients(fade)
    assert len(fast) == len(plain) > 30
    for ours, reference in zip(fast, plain, strict=True):
        assert (ours - reference).abs().max() <= 1e-4 * reference.abs().max()


def test_double_precision_and_autocast_take_the_plain_formulas() -> None:
    assert cpu.suits(torch.zeros(1)) and not cpu.suits(torch.zeros(1, dtype=torch.float64))
    with torch.autocast("cpu", torch.bfloat16):
        assert not cpu.suits(torch.zeros(1))
