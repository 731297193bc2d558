import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor, nn

from radcommons.classify.pgd import (
    AttackSettings,
    attack,
    image_losses,
    known_bce,
    known_margin,
    loss_and_gradient,
    noise,
    project,
    start,
    steepest,
)
from radcommons.errors import SettingRefused

NAN = math.nan


class Linear(nn.Module):
    """Logits W x of the image, whose worst change is known in closed form."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight.T


@pytest.fixture
def normed() -> nn.Module:
    """A small network with batch norm, dropout and a frozen layer, in training mode."""
    torch.manual_seed(3)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(256, 3)
    )
    network.train()
    network[1].eval()
    return network


def grey(n: int, side: int = 8, seed: int = 0) -> Tensor:
    return torch.rand((n, 1, side, side), generator=draws(seed)) * 255


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def far_from_black_and_white(n: int) -> Tensor:
    return 100 + grey(n, side=2) / 255 * 50


def rms(change: Tensor) -> Tensor:
    return change.square().mean(dim=(1, 2, 3)).sqrt()


def one_step(**changes: object) -> AttackSettings:
    values = {"steps": 1, "step_size": 1.0, "random_start": False, "epsilon": 3.0}
    return AttackSettings.model_validate({**values, **changes})


def logits(size: float = 0.01) -> Tensor:
    return size * torch.tensor([[3.0, -4.0, 0.0, 12.0]])


# ---- closed forms ----


def test_one_step_in_linf_is_the_sign_of_the_weights_times_epsilon_against_the_label() -> None:
    images = far_from_black_and_white(2)
    found = attack(Linear(logits()), images, torch.tensor([[1.0], [0.0]]), one_step(), generator=draws())
    up = torch.tensor([3.0, -3.0, 0.0, 3.0]).view(1, 1, 2, 2)
    torch.testing.assert_close(found - images, torch.cat([-up, up]), atol=1e-4, rtol=0)


def test_one_step_in_l2_goes_along_the_weights_by_epsilon_root_mean_square() -> None:
    images = far_from_black_and_white(2)
    found = attack(Linear(logits()), images, torch.tensor([[1.0], [0.0]]), one_step(norm="l2"), generator=draws())
    up = 3 * math.sqrt(4) * torch.tensor([3.0, -4.0, 0.0, 12.0]).view(1, 1, 2, 2) / 13
    torch.testing.assert_close(found - images, torch.cat([-up, up]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_many_steps_from_a_random_start_end_at_the_linear_optimum(norm: str) -> None:
    images, labels = far_from_black_and_white(3), torch.zeros(3, 1)
    settings = AttackSettings.model_validate({"norm": norm, "epsilon": 3.0, "steps": 60, "step_size": 0.2})
    network = Linear(logits())
    found = attack(network, images, labels, settings, generator=draws(1))
    raised = (network(found) - network(images)).detach()
    size = 0.01 * (19 if norm == "linf" else 13 * math.sqrt(4))
    torch.testing.assert_close(raised, torch.full((3, 1), 3 * size), rtol=2e-3, atol=0)


def test_black_pixels_that_cannot_get_darker_leave_their_share_of_l2_to_the_others() -> None:
    images = torch.tensor([0.0, 100.0, 100.0, 100.0]).view(1, 1, 2, 2)
    network = Linear(torch.tensor([[-1.0, 1.0, 0.0, 0.0]]))
    found = attack(network, images, torch.zeros(1, 1), one_step(norm="l2", step_size=4.0), generator=draws())
    assert (found - images).flatten().tolist() == pytest.approx([0, 6, 0, 0], abs=1e-4)  # 3 sqrt(4)


# ---- losses ----


def test_the_loss_by_hand_is_the_mean_over_known_labels() -> None:
    z = torch.tensor([[0.0, math.log(3), 5.0], [2.0, 2.0, 2.0]])
    found = known_bce(z, torch.tensor([[1.0, 0.0, NAN], [NAN, NAN, NAN]]))
    assert found.tolist() == pytest.approx([(math.log(2) + math.log(4)) / 2, 0.0])


def test_the_loss_equals_torchs_with_soft_labels() -> None:
    z, labels = torch.randn((20, 4), generator=draws()) * 5, torch.rand((20, 4), generator=draws(1))
    expected = nn.functional.binary_cross_entropy_with_logits(z, labels, reduction="none").mean(dim=1)
    torch.testing.assert_close(known_bce(z, labels), expected)


def test_the_loss_of_a_sure_network_keeps_a_gradient_where_torchs_has_none() -> None:
    z = torch.tensor([[40.0]], requires_grad=True)
    torchs = nn.functional.binary_cross_entropy_with_logits(z, torch.ones(1, 1))
    assert torch.autograd.grad(torchs, z)[0].item() == 0
    ours = torch.autograd.grad(known_bce(z, torch.ones(1, 1)).sum(), z)[0].item()
    assert ours == pytest.approx(-math.exp(-40), rel=1e-4)


def test_the_margin_by_hand() -> None:
    found = known_margin(torch.tensor([[2.0, -3.0, 9.0]]), torch.tensor([[1.0, 0.0, NAN]]))
    assert found.tolist() == [-2.5]


def test_an_unknown_label_gives_no_gradient() -> None:
    network = Linear(torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]) * 0.01)
    images = far_from_black_and_white(2)
    _, gradients = loss_and_gradient(network, images, torch.tensor([[NAN, 0.0], [NAN, NAN]]), AttackSettings())
    assert gradients[0].flatten()[0] == 0 and gradients[0].flatten()[1] > 0
    assert not gradients[1].any()


def test_a_film_without_a_known_label_stays_as_it_is() -> None:
    images = far_from_black_and_white(2)
    found = attack(Linear(logits()), images, torch.tensor([[NAN], [0.0]]), AttackSettings(epsilon=4), generator=draws())
    assert torch.equal(found[0], images[0])
    assert not torch.equal(found[1], images[1])


# ---- the ball ----

balls = st.builds(
    lambda norm, epsilon: AttackSettings.model_validate({"norm": norm, "epsilon": epsilon, "steps": 2}),
    st.sampled_from(["linf", "l2"]),
    st.one_of(st.just(0.0), st.floats(1 / 64, 255, width=32)),
)
pixels = st.lists(st.one_of(st.sampled_from([0.0, 255.0]), st.floats(0, 255, width=32)), min_size=9, max_size=9)
anything = st.lists(st.floats(-2000, 2000, width=32), min_size=9, max_size=9)


def inside(points: Tensor, images: Tensor, settings: AttackSettings) -> bool:
    change = points - images
    size = change.abs().max() if settings.norm == "linf" else rms(change).max()
    return bool(points.min() >= 0 and points.max() <= 255 and size <= settings.epsilon * (1 + 1e-4) + 1e-3)


@given(balls, pixels, anything)
@hypothesis_settings(max_examples=200)
def test_a_projected_point_lies_within_epsilon_and_between_black_and_white(
    ball: AttackSettings, image: list[float], point: list[float]
) -> None:
    images = torch.tensor(image).view(1, 1, 3, 3)
    assert inside(project(torch.tensor(point).view(1, 1, 3, 3), images, ball), images, ball)


@given(balls, pixels, anything)
@hypothesis_settings(max_examples=100)
def test_projecting_twice_changes_nothing_more(ball: AttackSettings, image: list[float], point: list[float]) -> None:
    images = torch.tensor(image).view(1, 1, 3, 3)
    once = project(torch.tensor(point).view(1, 1, 3, 3), images, ball)
    torch.testing.assert_close(project(once, images, ball), once, atol=2e-3, rtol=1e-5)


def test_the_l2_projection_is_the_nearest_point_that_scipy_finds() -> None:
    rng = np.random.default_rng(5)
    for epsilon in (10.0, 40.0, 90.0):
        image, point = rng.choice([0, 20, 128, 255], 6).astype(float), rng.normal(100, 200, 6)
        best = minimize(
            lambda z, p=point / 255: ((z - p) ** 2).sum(),
            image / 255,
            jac=lambda z, p=point / 255: 2 * (z - p),
            bounds=[(0, 1)] * 6,
            constraints={
                "type": "ineq",
                "fun": lambda z, x=image / 255, e=epsilon / 255: e**2 - ((z - x) ** 2).mean(),
                "jac": lambda z, x=image / 255: -2 * (z - x) / 6,
            },
            method="SLSQP",
            options={"ftol": 1e-9, "maxiter": 1000},
        )
        assert best.success
        shaped = [torch.tensor(v, dtype=torch.float64).view(1, 1, 2, 3) for v in (point, image)]
        found = project(*shaped, AttackSettings(norm="l2", epsilon=epsilon))
        np.testing.assert_allclose(found.flatten().numpy(), best.x * 255, atol=0.02)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("make", ["attack", "noise", "start"])
def test_examples_noise_and_starts_lie_in_the_ball(norm: str, make: str, normed: nn.Module) -> None:
    settings = AttackSettings.model_validate({"norm": norm, "epsilon": 12.0, "steps": 4})
    images = grey(5).round().clamp(0, 255)
    images[:, :, :4] = 0  # as much black as a chest film has
    labels = torch.tensor([[1.0, 0.0, NAN]]).repeat(5, 1)
    made: dict[str, Callable[[], Tensor]] = {
        "attack": lambda: attack(normed, images, labels, settings, generator=draws()),
        "noise": lambda: noise(images, settings, draws()),
        "start": lambda: start(images, settings, draws()),
    }
    found = made[make]()
    assert inside(found, images, settings)
    assert not torch.equal(found, images)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_noise_is_as_large_as_the_attack_may_be(norm: str) -> None:
    settings = AttackSettings.model_validate({"norm": norm, "epsilon": 5.0})
    images = torch.full((3, 1, 8, 8), 128.0)
    images[:, :, :4] = 0
    change = noise(images, settings, draws()) - images
    size = change.abs().amax(dim=(1, 2, 3)) if norm == "linf" else rms(change)
    torch.testing.assert_close(size, torch.full((3,), 5.0), atol=1e-3, rtol=0)


def test_l2_starts_are_spread_evenly_over_the_ball() -> None:
    """In 4 dimensions a half of them lies within 0.5 ** (1 / 4) of the radius."""
    images = torch.full((4000, 1, 2, 2), 128.0)
    found = rms(start(images, AttackSettings(norm="l2", epsilon=10), draws()) - images) / 10
    assert (found < 0.5**0.25).float().mean().item() == pytest.approx(0.5, abs=0.03)


def test_a_tiny_gradient_still_has_a_direction_and_none_has_none() -> None:
    gradients = torch.tensor([[3e-30, 4e-30], [0.0, 0.0]]).view(2, 1, 1, 2)
    found = steepest(gradients, AttackSettings(norm="l2"))
    assert found[0].flatten().tolist() == pytest.approx([0.6 * math.sqrt(2), 0.8 * math.sqrt(2)])
    assert not found[1].any()


# ---- the search ----


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_more_steps_of_the_same_size_never_end_lower(norm: str, normed: nn.Module) -> None:
    images, labels = grey(6), torch.tensor([[1.0, 0.0, 1.0]]).repeat(6, 1)
    losses = [image_losses(normed.eval(), images, labels, AttackSettings())]
    for steps in (1, 2, 4, 8):
        settings = AttackSettings.model_validate(
            {"norm": norm, "epsilon": 20.0, "steps": steps, "step_size": 0.7, "random_start": False}
        )
        found = attack(normed, images, labels, settings, generator=draws())
        losses.append(image_losses(normed, found, labels, settings))
    for before, after in pairwise(losses):
        assert (after >= before - 1e-5).all()
    assert (losses[-1] > losses[0] + 0.1).all()


def test_more_restarts_never_end_lower(normed: nn.Module) -> None:
    images, labels = grey(6), torch.tensor([[1.0, 0.0, 1.0]]).repeat(6, 1)
    found = []
    for restarts in (1, 3):
        settings = AttackSettings(epsilon=20, steps=2, restarts=restarts)
        examples = attack(normed, images, labels, settings, generator=draws())
        found.append(image_losses(normed.eval(), examples, labels, settings))
    assert (found[1] >= found[0] - 1e-5).all() and (found[1] > found[0]).any()


def test_without_keeping_the_best_the_last_point_comes_back(normed: nn.Module) -> None:
    """The best of a single step in a linear network is its end; where no label is known only the start is left."""
    images, labels = far_from_black_and_white(2), torch.zeros(2, 1)
    best = attack(Linear(logits()), images, labels, one_step(), generator=draws())
    last = attack(Linear(logits()), images, labels, one_step(), generator=draws(), keep_best=False)
    assert torch.equal(best, last)
    unknown = attack(
        Linear(logits()),
        images,
        torch.full((2, 1), NAN),
        AttackSettings(epsilon=4),
        generator=draws(),
        keep_best=False,
    )
    assert not torch.equal(unknown, images)  # the random start


@pytest.mark.parametrize("keep_best", [True, False])
def test_the_network_is_left_as_it_was(normed: nn.Module, keep_best: bool) -> None:
    before = {name: value.clone() for name, value in normed.state_dict().items()}
    modes = [module.training for module in normed.modules()]
    with torch.no_grad():
        attack(
            normed,
            grey(4),
            torch.ones(4, 3),
            AttackSettings(epsilon=4, steps=3),
            generator=draws(),
            keep_best=keep_best,
        )
    assert all(torch.equal(before[name], value) for name, value in normed.state_dict().items())
    assert [module.training for module in normed.modules()] == modes
    assert all(parameter.grad is None and parameter.requires_grad for parameter in normed.parameters())


def test_the_same_generator_gives_the_same_examples_and_another_does_not(normed: nn.Module) -> None:
    images, labels = grey(4), torch.ones(4, 3)
    found = [
        attack(normed, images, labels, AttackSettings(epsilon=4), generator=draws(seed), keep_best=False)
        for seed in (1, 1, 2)
    ]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_an_image_gets_the_same_example_whatever_stands_beside_it(normed: nn.Module) -> None:
    images, labels = grey(4), torch.ones(4, 3)
    settings = AttackSettings(norm="l2", epsilon=4, random_start=False)
    together = attack(normed, images, labels, settings, generator=draws())
    alone = attack(normed, images[2:3], labels[2:3], settings, generator=draws())
    torch.testing.assert_close(together[2:3], alone, atol=1e-3, rtol=0)


def test_epsilon_0_changes_nothing(normed: nn.Module) -> None:
    images = grey(3)
    for norm in ("linf", "l2"):
        settings = AttackSettings.model_validate({"norm": norm, "epsilon": 0})
        assert torch.equal(attack(normed, images, torch.ones(3, 3), settings, generator=draws()), images)
        torch.testing.assert_close(noise(images, settings, draws()), images)


def test_restarts_without_a_random_start_are_refused() -> None:
    with pytest.raises(SettingRefused, match="'restarts' is 3 but random_start is off: every start would be the same"):
        AttackSettings.parse({"restarts": 3, "random_start": False}, source="--set")


def test_the_default_steps_reach_across_the_ball_and_a_half() -> None:
    assert AttackSettings(epsilon=4, steps=10).step == pytest.approx(1.0)
    assert AttackSettings(epsilon=4, steps=10, step_size=0.1).step == pytest.approx(0.4)
