"""Is a network robust, or does it mask its gradients? The checks of Athalye et al. 2018 and Carlini et al. 2019.

A network that masks its gradients looks robust to a gradient attack but is not. A check that fails shows that the
robust curve is too high. Checks that pass do not prove that the network is robust.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise

from torch import nn

from radcommons.classify.attacked import aucs, batches, scores_under
from radcommons.classify.pgd import WHITE, AttackSettings, evaluating, loss_and_gradient
from radcommons.classify.training_data import Mixture
from radcommons.errors import SettingRefused
from radcommons.progress import Advance, Track, silent
from radcommons.records import MaskingCheck

ROUNDING = 0.01  # of a mean AUC: two runs of the same attack may differ by this much through their random starts
BLIND_SHARE = 0.01  # of films whose gradient is 0: a larger share is not chance
NOTHING_LEFT = 0.1  # highest mean AUC where any film may become any other
MORE_STEPS = (2, 4)


def masking_checks(
    network: nn.Module,
    films: Mixture,
    settings: AttackSettings,
    *,
    seed: int = 0,
    batch_size: int = 64,
    other: nn.Module | None = None,
    track: Track = silent,
) -> tuple[MaskingCheck, ...]:
    """All checks at the epsilon of the settings; with an `other` network of the same findings, a transfer attack too.

    Args:
        network: see `radcommons.classify.pgd`.
        films: of `films_to_attack`.
        settings: the attack to check, epsilon > 0.
        seed, batch_size: determine the random starts.
        other: another network on the same device, which makes the examples of the transfer attack.
    Raises:
        SettingRefused: epsilon is 0.
    Source: Athalye et al. 2018, section 3.1; Carlini et al. 2019, sections 4.2 and 5.
    """
    require_change(settings)
    variants = {
        "attack": settings,
        "one step": settings.model_copy(update={"steps": 1, "step_size": 1.0, "random_start": False, "restarts": 1}),
        **{f"{times} times the steps": _longer(settings, times) for times in MORE_STEPS},
        "the other loss": settings.model_copy(
            update={"loss": "margin" if settings.loss == "cross-entropy" else "cross-entropy"}
        ),
        "any change": _longer(settings, MORE_STEPS[0]).model_copy(update={"epsilon": WHITE, "step_size": None}),
    }
    passes = len(variants) + 2 + (other is not None)  # the two are noise and gradients
    with track("Checking the attack", total=passes * len(films)) as advance:
        under = partial(scores_under, network=network, films=films, seed=seed, batch_size=batch_size, advance=advance)
        scores = {name: under(variant) for name, variant in variants.items()}
        scores["noise"] = under(settings, by_chance=True)
        if other is not None:
            scores["transfer"] = under(settings, made_on=other)
        blind = _blind_share(network, films, settings, batch_size, advance)
    found = {name: float(aucs(values, films).mean()) for name, values in scores.items()}
    return checks_of(found, blind)


def require_change(settings: AttackSettings) -> None:
    """Refuse an attack of size 0, whose checks would show nothing."""
    if not settings.epsilon:
        raise SettingRefused("'epsilon' is 0, an attack that changes nothing; set it above 0")


def falling_check(epsilons: Sequence[float], mean_aucs: Sequence[float]) -> MaskingCheck:
    """Is the AUC never higher at a larger epsilon, which allows every change that a smaller one allows?

    Args:
        epsilons: in ascending order.
        mean_aucs: mean AUC under attack at each.
    """
    rise = max((after - before for before, after in pairwise(mean_aucs)), default=0.0)
    numbers = {f"epsilon {epsilon:g}": auc for epsilon, auc in zip(epsilons, mean_aucs, strict=True)}
    passed = rise <= ROUNDING
    words = "never rises" if passed else f"rises by {rise:.3f}, so the attack misses what a smaller one found"
    verdict = f"the mean AUC {words} as epsilon grows"
    return MaskingCheck(name="larger epsilon", passed=passed, numbers=numbers, verdict=verdict)


def checks_of(found: Mapping[str, float], blind: float) -> tuple[MaskingCheck, ...]:
    """The checks, from the mean AUC under each variant of the attack and the share of films without a gradient."""
    auc = found["attack"]

    def no_weaker_than(name: str, rival: str, words: str, doubt: str, trust: str = "") -> MaskingCheck:
        """Is the attack at least as strong as a rival that it should beat?"""
        passed = auc <= found[rival] + ROUNDING
        numbers = {"attack": auc, rival: found[rival]}
        verdict = f"mean AUC {auc:.3f} under attack, {found[rival]:.3f} {words}{trust if passed else doubt}"
        return MaskingCheck(name=name, passed=passed, numbers=numbers, verdict=verdict)

    longer = [f"{times} times the steps" for times in MORE_STEPS]
    highest = max(found[name] for name in longer)
    of_steps = {"attack": auc, **{name: found[name] for name in longer}}
    helped = highest > auc + ROUNDING
    emptied = found["any change"] <= NOTHING_LEFT
    checks = [
        MaskingCheck(
            name="gradients",
            passed=blind <= BLIND_SHARE,
            numbers={"share of films without a gradient": blind},
            verdict=f"{blind:.1%} of the films have a gradient of 0"
            + ("" if blind <= BLIND_SHARE else ": the attack does not know what to change"),
        ),
        no_weaker_than("noise", "noise", "under noise of the same size", ", which hurts more"),
        no_weaker_than("one step", "one step", "after a single step", ", which hurts more than many"),
        MaskingCheck(
            name="more steps",
            passed=not helped,
            numbers=of_steps,
            verdict=f"mean AUC {auc:.3f} under attack, at most {highest:.3f} with more steps"
            + (", which help the defender" if helped else ""),
        ),
        no_weaker_than(
            "enough steps",
            longer[-1],
            f"with {longer[-1]}: the attack has ",
            "not settled; take more steps",
            "settled",
        ),
        no_weaker_than("loss", "the other loss", "when it raises the other loss", ", which hurts more; use that one"),
        MaskingCheck(
            name="any change",
            passed=emptied,
            numbers={"any change": found["any change"]},
            verdict=f"mean AUC {found['any change']:.3f} when a film may become any other"
            + ("" if emptied else f", and it should be near 0 (at most {NOTHING_LEFT:g})"),
        ),
    ]
    if "transfer" in found:
        checks.append(
            no_weaker_than(
                "transfer",
                "transfer",
                "under examples made on the other network",
                ", which hurt more than its own",
            )
        )
    return tuple(checks)


def _longer(settings: AttackSettings, times: int) -> AttackSettings:
    return settings.model_copy(update={"steps": times * settings.steps})


def _blind_share(
    network: nn.Module, films: Mixture, settings: AttackSettings, batch_size: int, advance: Advance
) -> float:
    """Share of films for which the loss has a gradient of 0."""
    blind = 0
    with evaluating(network):
        for grey, labels in batches(films, batch_size, next(network.parameters()).device):
            _, gradients = loss_and_gradient(network, grey, labels, settings)
            blind += int((gradients.flatten(1) == 0).all(dim=1).sum())
            advance(len(grey))
    return blind / len(films)
