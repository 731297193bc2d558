import math

import pytest
import torch
from torch import nn

from radcommons.gan.recipes.rgan import losses
from radcommons.gan.recipes.rgan.augmentation import Augmented
from radcommons.models.families.rgan import Critic, RganConfig


class LinearCritic(nn.Module):
    """D(x, y) = w . x, whose gradient is w everywhere."""

    def __init__(self, weight: list[float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float64))

    def forward(self, images: torch.Tensor, labels: torch.Tensor, inside: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return images.flatten(1) @ self.weight, images.mean((2, 3))


def pairs(real: Augmented, fake: Augmented, labels: torch.Tensor, others: torch.Tensor | None = None) -> losses.Pairs:
    return losses.Pairs(real, fake, labels, labels if others is None else others)


def films(*values: float) -> Augmented:
    """Films of 2 x 2 pixels, each of one grey value."""
    images = torch.tensor(values, dtype=torch.float64).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    return Augmented(images, torch.ones_like(images))


def test_the_losses_of_two_pairs_by_hand() -> None:
    critic, labels = LinearCritic([1.0, 0.0, 0.0, 0.0]), torch.zeros(2, 1)
    real, fake = films(1.0, 2.0), films(0.0, 5.0)
    loss, numbers = losses.critic_loss(critic, pairs(real, fake, labels), gamma=0.0, label_weight=0.0)  # type: ignore[arg-type]
    expected = (math.log1p(math.exp(-1)) + math.log1p(math.exp(3))) / 2
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-6)
    assert float(numbers["score_gap"].detach()) == pytest.approx(-1.0)
    loss, _ = losses.generator_loss(critic, pairs(real, fake, labels))  # type: ignore[arg-type]
    assert float(loss.detach()) == pytest.approx((math.log1p(math.exp(1)) + math.log1p(math.exp(-3))) / 2, rel=1e-6)


def test_the_penalties_of_a_linear_critic_pull_its_weights_to_zero() -> None:
    critic, labels = LinearCritic([3.0, 4.0, 0.0, 0.0]), torch.zeros(2, 1)
    same = films(0.5, 0.5)
    loss, numbers = losses.critic_loss(critic, pairs(same, same, labels), gamma=0.2, label_weight=0.0)  # type: ignore[arg-type]
    assert float(loss.detach()) == pytest.approx(math.log(2) + 0.1 * 2 * 25, rel=1e-5)  # gamma / 2 (|w|^2 + |w|^2)
    assert float(numbers["gradient_real"].detach()) == float(numbers["gradient_fake"].detach()) == 25.0
    (gradient,) = torch.autograd.grad(loss, critic.weight)
    torch.testing.assert_close(gradient, 0.4 * critic.weight.detach(), rtol=1e-5, atol=1e-6)


def test_a_real_film_should_fit_its_own_labels_better_by_hand() -> None:
    critic = LinearCritic([0.0, 0.0, 0.0, 0.0])  # each film raises the score of its finding by its grey value
    own, others = torch.tensor([[1.0], [0.0]]), torch.tensor([[0.0], [0.5]])
    both = pairs(films(2.0, 3.0), films(7.0, 7.0), own, others)
    loss, numbers = losses.critic_loss(critic, both, gamma=0.0, label_weight=2.0)  # type: ignore[arg-type]
    expected = (math.log1p(math.exp(-2)) + math.log1p(math.exp(1.5))) / 2
    assert float(numbers["label_loss"].detach()) == pytest.approx(expected, rel=1e-6)
    assert float(loss.detach()) == pytest.approx(math.log(2) + 2 * expected, rel=1e-6)


@pytest.fixture
def critic() -> Critic:
    torch.manual_seed(4)
    config = RganConfig(resolution=8, channels={4: 4, 8: 3}, style=4, latent_size=4, findings=2)
    return Critic(config)


def test_the_squared_gradients_equal_autograds_jacobian(critic: Critic) -> None:
    torch.manual_seed(5)
    images, labels, inside = torch.randn(4, 1, 8, 8), torch.rand(4, 2), (torch.rand(4, 1, 8, 8) > 0.2).float()
    found = losses.squared_gradients(critic, images, labels, inside)
    jacobian = torch.autograd.functional.jacobian(lambda x: critic(x, labels, inside)[0].sum(), images)
    torch.testing.assert_close(found.detach(), jacobian.flatten(1).square().sum(1))


def test_the_penaltys_gradient_equals_finite_differences(critic: Critic) -> None:
    torch.manual_seed(6)
    critic = critic.double()
    images, labels = torch.randn(2, 1, 8, 8).double(), torch.rand(2, 2).double()
    weight = critic.blocks["8"].first.weight

    def penalty() -> torch.Tensor:
        return losses.squared_gradients(critic, images, labels, torch.ones_like(images)).sum()

    (exact,) = torch.autograd.grad(penalty(), weight)
    for place in [(0, 0, 1, 1), (2, 1, 0, 2)]:
        sides = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                weight[place] += step
            sides.append(float(penalty().detach()))
            with torch.no_grad():
                weight[place] -= step
        assert float(exact[place]) == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-4, abs=1e-8)


def test_under_mixed_precision_the_penalty_and_its_gradient_are_those_of_float32(
    critic: Critic, device: torch.device
) -> None:
    torch.manual_seed(8)
    critic = critic.to(device)
    images, labels = torch.randn(4, 1, 8, 8).to(device), torch.rand(4, 2).to(device)

    def penalty_and_gradient(autocast: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            assert not autocast or critic(images, labels)[1].dtype == torch.bfloat16
            found = losses.squared_gradients(critic, images, labels, torch.ones_like(images))
        return found.detach(), torch.autograd.grad(found.sum(), critic.blocks["8"].first.weight)[0]

    exact, mixed = penalty_and_gradient(), penalty_and_gradient(autocast=True)
    torch.testing.assert_close(mixed, exact, rtol=1e-5, atol=1e-6)
    critic, images, labels = critic.cpu().double(), images.cpu().double(), labels.cpu().double()
    expected = [value.float() for value in penalty_and_gradient()]
    torch.testing.assert_close([value.cpu() for value in mixed], expected, rtol=1e-4, atol=1e-5)


def test_the_critic_gets_no_gradient_to_the_generator_and_the_generator_does(critic: Critic) -> None:
    torch.manual_seed(7)
    drawn = torch.randn(3, 1, 8, 8, requires_grad=True)
    real, fake = (Augmented(x, torch.ones(3, 1, 8, 8)) for x in (torch.randn(3, 1, 8, 8), drawn))
    both = pairs(real, fake, torch.rand(3, 2), torch.rand(3, 2))
    losses.critic_loss(critic, both, gamma=1.0, label_weight=1.0)[0].backward()
    assert drawn.grad is None
    losses.generator_loss(critic, both)[0].backward()
    assert drawn.grad is not None and bool((drawn.grad != 0).any())
