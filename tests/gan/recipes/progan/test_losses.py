import math

import pytest
import torch
from torch import nn

from radcommons.gan.recipes.progan import losses
from radcommons.models.families.progan import Critic, ProganConfig


class LinearCritic(nn.Module):
    """D(x) = w . x, whose gradient is w everywhere."""

    def __init__(self, weight: list[float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float64))

    def forward(self, images: torch.Tensor, fade: float) -> tuple[torch.Tensor, torch.Tensor]:
        return images.flatten(1) @ self.weight, images.new_zeros(len(images), 0)


@pytest.fixture
def critic() -> Critic:
    torch.manual_seed(4)
    return Critic(ProganConfig(resolution=8, channels={4: 4, 8: 3}, latent_size=4, findings=2)).double()


def test_the_gradient_norm_of_a_linear_critic_is_the_norm_of_its_weights() -> None:
    norms = losses.gradient_norm(LinearCritic([3.0, 4.0, 0.0, 0.0]), torch.randn(5, 1, 2, 2).double(), 1.0)
    torch.testing.assert_close(norms, torch.full((5,), 5.0, dtype=torch.float64))


def test_the_penalty_by_hand() -> None:
    assert losses.penalty(torch.tensor([5.0, 1.0, 0.0]), 10.0).tolist() == [160.0, 0.0, 10.0]


def test_the_penalty_of_a_linear_critic_pulls_its_weights_to_norm_one() -> None:
    critic = LinearCritic([3.0, 4.0, 0.0, 0.0])
    norms = losses.gradient_norm(critic, torch.randn(1, 1, 2, 2).double(), 1.0)
    losses.penalty(norms, 10.0).sum().backward()
    # d/dw 10 (|w| - 1)^2 = 20 (|w| - 1) w / |w| = 80 w / 5
    expected = 16 * critic.weight.detach()
    torch.testing.assert_close(critic.weight.grad, expected)


@pytest.mark.parametrize("fade", [0.4, 1.0])
def test_the_gradient_norm_equals_autograds_jacobian(critic: Critic, fade: float) -> None:
    images = torch.randn(4, 1, 8, 8, dtype=torch.float64)
    norms = losses.gradient_norm(critic, images, fade)
    jacobian = torch.autograd.functional.jacobian(lambda x: critic(x, fade=fade)[0].sum(), images)
    torch.testing.assert_close(norms.detach(), jacobian.flatten(1).norm(dim=1))


def test_the_penaltys_gradient_equals_finite_differences(critic: Critic) -> None:
    images = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    weight = critic.blocks["8"].down.weight
    losses.penalty(losses.gradient_norm(critic, images, 0.5), 10.0).sum().backward()
    assert weight.grad is not None
    for place in [(0, 0, 1, 1), (3, 2, 0, 2)]:
        sides = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                weight[place] += step
            sides.append(losses.penalty(losses.gradient_norm(critic, images, 0.5), 10.0).sum().item())
            with torch.no_grad():
                weight[place] -= step
        assert weight.grad[place].item() == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-4, abs=1e-6)


def test_under_mixed_precision_the_penalty_and_its_gradient_are_those_of_float32(device: torch.device) -> None:
    torch.manual_seed(4)
    critic = Critic(ProganConfig(resolution=8, channels={4: 4, 8: 3}, latent_size=4, findings=2)).to(device)
    images = torch.randn(4, 1, 8, 8).to(device)

    def penalty_and_gradient(autocast: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            assert not autocast or critic(images)[0].dtype == torch.bfloat16
            found = losses.penalty(losses.gradient_norm(critic, images, 0.5), 10.0)
        return found.detach(), torch.autograd.grad(found.sum(), critic.blocks["8"].down.weight)[0]

    exact, mixed = penalty_and_gradient(), penalty_and_gradient(autocast=True)
    torch.testing.assert_close(mixed, exact, rtol=1e-5, atol=1e-6)
    critic, images = critic.cpu().double(), images.cpu().double()
    expected = [value.float() for value in penalty_and_gradient()]
    torch.testing.assert_close([value.cpu() for value in mixed], expected, rtol=1e-4, atol=1e-5)


def test_the_label_loss_by_hand_sums_over_findings() -> None:
    logits = torch.tensor([[0.0, math.log(3)]])  # probabilities 1/2 and 3/4
    loss = losses.label_loss(logits, torch.tensor([[1.0, 0.0]]))
    assert loss.item() == pytest.approx(math.log(2) + math.log(4))


def test_an_unknown_label_counts_nothing_and_has_no_gradient() -> None:
    logits = torch.zeros(1, 2, requires_grad=True)
    loss = losses.label_loss(logits, torch.tensor([[1.0, float("nan")]]))
    loss.sum().backward()
    assert loss.item() == pytest.approx(math.log(2))
    assert logits.grad is not None and logits.grad[0].tolist() == [-0.5, 0.0]


def test_the_wasserstein_loss_by_hand() -> None:
    loss = losses.wasserstein_loss(torch.tensor([2.0]), torch.tensor([-1.0]), drift=0.001)
    assert loss.item() == pytest.approx(-3 + 0.004)


def test_a_mix_runs_from_real_to_fake() -> None:
    real, fake = torch.zeros(3, 1, 2, 2), torch.ones(3, 1, 2, 2)
    mixed = losses.mix(real, fake, torch.tensor([0.0, 0.25, 1.0]))
    assert mixed[:, 0, 0, 0].tolist() == [0.0, 0.25, 1.0]
