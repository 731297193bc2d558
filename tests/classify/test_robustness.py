import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from radcommons.classify.attacked import attacked_findings, aucs, films_to_attack, scores_under
from radcommons.classify.gradient_masking import checks_of, falling_check, masking_checks
from radcommons.classify.pgd import AttackSettings, attack, known_bce
from radcommons.classify.robustness import compare
from radcommons.classify.robustness_report import robustness_figure
from radcommons.classify.training_data import Examples, Mixture
from radcommons.errors import SettingRefused, TooFewImages
from radcommons.pages import plot
from radcommons.progress import Advance
from radcommons.records import MaskingCheck, RobustComparison

SIDE = 8
EPSILON = 12.0
SETTINGS = AttackSettings(epsilon=EPSILON, steps=10)


class Scaled(nn.Module):
    """A linear network on grey levels, its logits multiplied by `gain`."""

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.linear = nn.Linear(SIDE * SIDE, 1)
        self.gain = gain

    def forward(self, images: Tensor) -> Tensor:
        scaled: Tensor = self.gain * self.linear((images.flatten(1) - 128) / 64)
        return scaled


class Quantising(nn.Module):
    """Masks its gradients: grey levels are rounded to multiples of 16, and rounding has a gradient of 0."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        rounded: Tensor = self.network((images / 16).round() * 16)
        return rounded


class Rippled(nn.Module):
    """Misleads: fast ripples on every grey level hide the slow trend that the network reads, with gradients galore."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        rippled: Tensor = self.network(images + 0.5 * torch.sin(images * 40))
        return rippled


def toy(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Films with one pixel that says it loudly but sometimes wrongly, and 40 that say it too faintly to survive.

    A network that reads the faint ones is nearly always right, and a change of a few grey levels turns it.
    """
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) % 2).astype(np.float32)
    films = rng.normal(128, 4, (n, SIDE * SIDE))
    said = np.where(rng.random(n) < 0.85, labels, 1 - labels)
    films[:, 0] = 128 + 100 * (2 * said - 1)
    films[:, 1:41] += 4 * (2 * labels[:, None] - 1)
    return films.clip(0, 255).round().astype(np.uint8).reshape(n, SIDE, SIDE), labels[:, None]


def films_of(images: np.ndarray, labels: np.ndarray, patients: np.ndarray, findings: Sequence[str]) -> Mixture:
    rows = np.arange(len(images))
    return films_to_attack(Examples("toy", images, rows, labels, patients, tuple(findings), "toy"), side=SIDE)


def trained(adversarial: AttackSettings | None) -> nn.Module:
    torch.manual_seed(0)
    network = Scaled()
    images, labels = (torch.from_numpy(a.astype(np.float32)) for a in toy(400, seed=1))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.05)
    chance = torch.Generator().manual_seed(2)
    for _ in range(150):
        grey = images[:, None]
        if adversarial is not None:
            grey = attack(network, grey, labels, adversarial, generator=chance, keep_best=False)
        optimiser.zero_grad()
        known_bce(network(grey), labels).mean().backward()
        optimiser.step()
    return network


@pytest.fixture(scope="module")
def plain() -> nn.Module:
    return trained(None)


@pytest.fixture(scope="module")
def robust() -> nn.Module:
    return trained(AttackSettings(epsilon=EPSILON, steps=3))


@pytest.fixture(scope="module")
def films() -> Mixture:
    images, labels = toy(200, seed=9)
    return films_of(images, labels, np.arange(200) // 2, ["Effusion"])


@pytest.fixture(scope="module")
def both(plain: nn.Module, robust: nn.Module, films: Mixture) -> RobustComparison:
    return compare({"plain": plain, "robust": robust}, films, [3, 6, 24], SETTINGS, bootstrap_samples=200)


def failed(checks: tuple[MaskingCheck, ...]) -> set[str]:
    return {check.name for check in checks if not check.passed}


# ---- curves ----


def test_a_plain_network_loses_its_auc_where_an_adversarially_trained_one_keeps_more(both: RobustComparison) -> None:
    left = {name: {p.epsilon: p.mean_auc.value for p in curve.points} for name, curve in both.curves.items()}
    assert left["plain"][0] > 0.98
    assert left["plain"][EPSILON] < 0.2
    assert left["robust"][EPSILON] > 0.6
    assert left["robust"][0] < left["plain"][0]  # what robustness costs here


def test_noise_of_the_same_size_hurts_far_less(both: RobustComparison) -> None:
    at = next(p for p in both.curves["plain"].points if p.epsilon == EPSILON)
    assert at.noise_mean_auc > 0.9 > 0.2 > at.mean_auc.value


def test_the_curve_begins_with_the_films_as_they_are(both: RobustComparison, plain: nn.Module, films: Mixture) -> None:
    (first, *_), curve = both.curves["plain"].points, both.curves["plain"]
    assert [p.epsilon for p in curve.points] == [0, 3, 6, EPSILON, 24]
    with torch.no_grad():
        logits = plain(torch.from_numpy(films.parts[0].images.astype(np.float32))[:, None]).double().numpy()
    assert first.mean_auc.value == first.noise_mean_auc == pytest.approx(aucs(logits, films).mean(), abs=1e-12)
    assert (curve.films, curve.patients, curve.findings) == (200, 100, ("Effusion",))


def test_a_linear_network_is_attacked_to_its_closed_form(plain: nn.Module, films: Mixture) -> None:
    """Every logit moves by epsilon sum |w| / 64 against its label; where a pixel meets no end of the scale."""
    images = films.parts[0].images.clip(50, 200)
    inner = films_of(images, films.labels, films.patients, films.findings)
    attacked = scores_under(SETTINGS, plain, inner, seed=0, batch_size=64, advance=lambda count: None)
    with torch.no_grad():
        clean = plain(torch.from_numpy(images.astype(np.float32))[:, None]).numpy()
        moved = EPSILON / 64 * plain.linear.weight.abs().sum().item()
    np.testing.assert_allclose(attacked, clean + np.where(films.labels == 1, -moved, moved), rtol=1e-3, atol=1e-3)


def test_results_follow_from_the_seed_and_do_not_hang_on_the_order_of_epsilons(
    robust: nn.Module, films: Mixture
) -> None:
    settings = AttackSettings(epsilon=3, steps=2)
    one, same, other = (
        compare({"robust": robust}, films, order, settings, seed=seed, bootstrap_samples=100)
        for order, seed in (([3, 6], 3), ([6, 3, 0], 3), ([3, 6], 4))
    )
    assert one == same
    assert one.curves["robust"].points[1].noise_auc != other.curves["robust"].points[1].noise_auc


def test_batches_hold_no_more_films_than_asked_and_progress_counts_every_pass(plain: nn.Module, films: Mixture) -> None:
    seen: list[int] = []
    counted: list[tuple[str, int]] = []

    @contextmanager
    def track(description: str, *, total: int, done: int = 0, unit: str = "images") -> Iterator[Advance]:
        advanced = [done]
        yield lambda count: advanced.append(count)
        assert sum(advanced) == total, unit
        counted.append((description, total))

    handle = plain.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    compare(
        {"plain": plain},
        films,
        [3],
        AttackSettings(epsilon=6, steps=1),
        batch_size=64,
        bootstrap_samples=100,
        track=track,
    )
    handle.remove()
    assert set(seen) == {64, 200 % 64}
    assert counted == [("Attacking", 2 * 3 * 200), ("Checking the attack", 8 * 200)]


def test_everything_turns_into_json_and_back(both: RobustComparison) -> None:
    text = json.dumps(both.model_dump(mode="json"), allow_nan=False)
    assert RobustComparison.model_validate_json(text) == both
    assert json.loads(text)["curves"]["robust"]["points"][0]["epsilon"] == 0


# ---- films ----


def test_a_finding_with_one_class_only_is_left_out_and_never_attacked() -> None:
    images, labels = toy(40, seed=2)
    three = np.hstack([np.ones_like(labels), labels, np.full_like(labels, np.nan)])
    three[:3, 1] = np.nan  # known for the first finding alone
    films = films_of(images, three, np.arange(40), ["Edema", "Effusion", "Mass"])
    assert attacked_findings(films) == {"Effusion": 1} and len(films) == 37
    assert np.isnan(films.labels[:, [0, 2]]).all()
    assert films.parts[0].rows[0] == 3


def test_soft_labels_count_as_present_from_a_half() -> None:
    images, _ = toy(4, seed=2)
    films = films_of(images, np.array([[0.2], [0.5], [0.9], [0.4]]), np.arange(4), ["Effusion"])
    assert films.labels[:, 0].tolist() == [0, 1, 1, 0]


def test_films_without_both_classes_are_refused_with_their_counts() -> None:
    images, labels = toy(6, seed=2)
    with pytest.raises(TooFewImages, match=r"no finding has both classes among the 6 films.*Effusion 6/0, Mass 0/0"):
        films_of(images, np.hstack([np.ones_like(labels), labels * np.nan]), np.arange(6), ["Effusion", "Mass"])


def test_an_epsilon_off_the_grey_scale_is_refused(plain: nn.Module, films: Mixture) -> None:
    with pytest.raises(SettingRefused, match="epsilon is 300 grey levels; give it between 0 and 255"):
        compare({"plain": plain}, films, [1, 300], SETTINGS)
    with pytest.raises(SettingRefused, match="'epsilon' is 0, an attack that changes nothing; set it above 0"):
        masking_checks(plain, films, AttackSettings(epsilon=0))


# ---- masked gradients ----


def test_networks_with_honest_gradients_pass_every_check(both: RobustComparison) -> None:
    assert {name: failed(checks) for name, checks in both.checks.items()} == {"plain": set(), "robust": set()}
    assert {c.name for c in both.checks["plain"]} >= {"transfer", "larger epsilon", "any change"}


def test_a_quantising_layer_looks_robust_and_is_caught(plain: nn.Module, films: Mixture) -> None:
    found = compare({"quantising": Quantising(plain), "plain": plain}, films, [], SETTINGS, bootstrap_samples=200)
    looks = found.curves["quantising"].points[-1].mean_auc.value
    assert looks > 0.85 > 0.2 > found.curves["plain"].points[-1].mean_auc.value
    assert failed(found.checks["quantising"]) >= {"gradients", "any change", "transfer"}
    (blind,) = (c for c in found.checks["quantising"] if c.name == "gradients")
    assert blind.numbers == {"share of films without a gradient": 1.0}
    assert "quantising may be less robust than its curve says." in found.statement
    assert "higher" not in found.statement and "do not show which of plain and quantising is better" in found.statement


def test_logits_so_large_that_the_loss_saturates_are_caught_by_the_other_loss(plain: nn.Module, films: Mixture) -> None:
    sure = Scaled(gain=1e4)
    sure.load_state_dict(plain.state_dict())
    found = masking_checks(sure, films, SETTINGS)
    assert failed(found) >= {"gradients", "loss"}
    assert failed(masking_checks(sure, films, SETTINGS.model_copy(update={"loss": "margin"}))) == set()


def test_gradients_that_point_anywhere_are_caught(plain: nn.Module, films: Mixture) -> None:
    found = masking_checks(Rippled(plain), films, SETTINGS, other=plain)
    assert "gradients" not in failed(found)  # there are gradients, only of no use
    assert "transfer" in failed(found)


HONEST = {
    "attack": 0.3,
    "one step": 0.4,
    "2 times the steps": 0.3,
    "4 times the steps": 0.3,
    "the other loss": 0.3,
    "any change": 0.0,
    "noise": 0.8,
    "transfer": 0.7,
}


@pytest.mark.parametrize(
    ("changed", "auc", "name", "words"),
    [
        ("noise", 0.28, "noise", "0.300 under attack, 0.280 under noise of the same size, which hurts more"),
        ("one step", 0.28, "one step", "0.280 after a single step, which hurts more than many"),
        ("2 times the steps", 0.32, "more steps", "at most 0.320 with more steps, which help the defender"),
        ("4 times the steps", 0.28, "enough steps", "the attack has not settled"),
        ("the other loss", 0.28, "loss", "which hurts more; use that one"),
        ("any change", 0.11, "any change", "0.110 when a film may become any other, and it should be near 0"),
        ("transfer", 0.28, "transfer", "made on the other network, which hurt more than its own"),
    ],
)
def test_each_check_fails_on_its_own_number_and_on_no_other(changed: str, auc: float, name: str, words: str) -> None:
    assert failed(checks_of(HONEST, 0.0)) == set()
    found = checks_of({**HONEST, changed: auc}, 0.0)
    assert failed(found) == {name}
    assert words in next(check.verdict for check in found if check.name == name)


def test_films_without_a_gradient_are_told_in_per_cent() -> None:
    (check,) = (c for c in checks_of(HONEST, 0.25) if not c.passed)
    assert check.verdict == "25.0% of the films have a gradient of 0: the attack does not know what to change"


def test_the_films_without_a_gradient_are_counted_one_by_one() -> None:
    """A network that answers bright films alone: a quarter of these is dark."""
    images = np.full((8, SIDE, SIDE), 200, np.uint8)
    images[:2] = 60
    films = films_of(images, np.array([[0.0], [1.0]] * 4), np.arange(8), ["Effusion"])
    network = nn.Sequential(nn.AvgPool2d(SIDE), nn.Threshold(128, 0), nn.Flatten(), nn.Linear(1, 1))
    (check,) = (c for c in masking_checks(network, films, AttackSettings(steps=1)) if c.name == "gradients")
    assert check.numbers == {"share of films without a gradient": 0.25}


def test_too_few_steps_are_said_to_have_not_settled(plain: nn.Module, films: Mixture) -> None:
    short = AttackSettings(epsilon=EPSILON, steps=2, step_size=0.1, random_start=False)
    (check,) = (c for c in masking_checks(plain, films, short) if c.name == "enough steps")
    assert not check.passed
    assert "with 4 times the steps: the attack has not settled; take more steps" in check.verdict


def test_a_mean_auc_that_rises_with_epsilon_is_caught_and_one_within_rounding_is_not() -> None:
    assert not falling_check([0, 1, 2], [0.9, 0.5, 0.6]).passed
    assert "rises by 0.100" in falling_check([0, 1, 2], [0.9, 0.5, 0.6]).verdict
    assert falling_check([0, 1, 2], [0.9, 0.5, 0.505]).passed


# ---- words and figure ----


def test_an_order_is_told_where_the_interval_leaves_no_doubt(both: RobustComparison) -> None:
    at = {d.epsilon: d for d in both.differences}
    assert at[0].mean_auc.high < 0 < at[EPSILON].mean_auc.low
    assert "On films as they are the mean AUC of robust is lower than that of plain: -" in both.statement
    under = "Under an attack of up to 12 grey levels the mean AUC of robust is higher than that of plain: +"
    assert under in both.statement
    assert "which does not prove that no stronger attack exists" in both.statement


def test_a_network_against_its_own_copy_is_never_worded_as_an_order(plain: nn.Module, films: Mixture) -> None:
    copy = Scaled()
    copy.load_state_dict(plain.state_dict())
    found = compare({"one": plain, "copy": copy}, films, [], AttackSettings(epsilon=3, steps=3), bootstrap_samples=100)
    assert [(d.mean_auc.value, d.mean_auc.low, d.mean_auc.high) for d in found.differences] == [(0, 0, 0)] * 2
    assert found.statement.count("copy and one cannot be told apart") == 2
    assert "higher" not in found.statement and "lower" not in found.statement


def test_one_network_alone_has_a_curve_and_checks_but_no_difference(plain: nn.Module, films: Mixture) -> None:
    found = compare({"plain": plain}, films, [], AttackSettings(norm="l2", epsilon=4, steps=5), bootstrap_samples=100)
    assert found.differences == ()
    assert "transfer" not in {check.name for check in found.checks["plain"]}
    assert found.curves["plain"].attack["norm"] == "l2"


def test_the_figure_dots_the_noise_and_names_a_failed_check(both: RobustComparison) -> None:
    blind = MaskingCheck(name="gradients", passed=False, numbers={}, verdict="")
    doubted = both.model_copy(update={"checks": {**both.checks, "robust": (blind,)}})
    figure = robustness_figure(doubted)
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    assert lines["plain, under noise"].get_linestyle() == lines["robust, under noise"].get_linestyle() == ":"
    attacked = lines["robust (failed: gradients), under attack"]
    assert list(attacked.get_ydata()) == [p.mean_auc.value for p in both.curves["robust"].points]
    assert "grey levels" in figure.axes[0].get_xlabel()
    assert "image/svg+xml" in plot(figure, "Robust curves")
