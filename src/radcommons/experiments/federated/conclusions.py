"""From the measures of every repeat to means with intervals, comparisons, and the sentence that they support."""

from collections.abc import Mapping, Sequence

import numpy as np

from radcommons.experiments.federated.settings import Arm, FederatedExperimentSettings
from radcommons.metrics.comparison import holm
from radcommons.metrics.replicates import Replicated
from radcommons.records import ArmPoint, Estimate, FederatedArm, FidComparison, FidVerdict, Measures

SIGNIFICANCE = 0.05
DESCRIPTIONS: dict[Arm, str] = {
    "centralised": "one training with the films of all clients",
    "one client": "one training with the films of one client, another client in each repeat",
    "federated": "all clients, whose generators and critics are averaged in every round",
    "skewed": "the same, with findings unevenly divided among the clients",
    "generator shared": "the same as federated, but every client keeps a critic of its own",
    "pool": "each client trains alone, for its share of the images; the generators draw equal shares",
}
PAIRS: tuple[tuple[Arm, Arm], ...] = (
    ("one client", "centralised"), ("federated", "centralised"), ("one client", "federated"),
    ("skewed", "federated"), ("generator shared", "federated"), ("pool", "federated"),
)  # fmt: skip
PAPER = "one small client worst, federated near centralised"


def estimate(values: Sequence[float]) -> Estimate:
    """The mean over repeats with its interval of 95% by Student's t; no interval from one repeat."""
    if len(values) == 1:
        return Estimate(value=float(values[0]))
    found = _replicated(values)
    return Estimate(value=found.value, low=found.value - found.reach(), high=found.value + found.reach())


def share(values: Sequence[float]) -> Estimate:
    """`estimate` of a share: the interval is cut at 0 and 1."""
    e = estimate(values)
    return e if e.low is None or e.high is None else Estimate(value=e.value, low=max(0.0, e.low), high=min(1.0, e.high))


def arm_result(
    name: str, description: str, films: tuple[int, ...], repeats: Sequence[Sequence[Measures]]
) -> FederatedArm:
    """An arm's record from its measures, by repeat and point."""
    points = []
    for at in zip(*repeats, strict=True):
        own = [one.own_critic for one in at if one.own_critic is not None]
        points.append(
            ArmPoint(
                images_seen=at[0].images_seen,
                fid=estimate([one.fid for one in at]),
                critic_loss=estimate([one.critic_loss for one in at]),
                own_critic=estimate(own) if len(own) == len(at) else None,
            )
        )
    ends = [repeat[-1] for repeat in repeats]
    return FederatedArm(
        name=name,
        description=description,
        films=films,
        points=tuple(points),
        precision=share([one.precision for one in ends]),
        recall=share([one.recall for one in ends]),
        coverage=share([one.coverage for one in ends]),
        repeats=tuple(tuple(repeat) for repeat in repeats),
    )


def compared(measured: Mapping[Arm, Sequence[Sequence[Measures]]]) -> list[FidComparison]:
    """FID at the end, pair by pair; none with one repeat, where nothing is known about luck in training."""
    fids = {arm: np.array([repeat[-1].fid for repeat in repeats]) for arm, repeats in measured.items()}
    pairs = [pair for pair in PAIRS if set(pair) <= set(fids)]
    if not pairs or len(next(iter(fids.values()))) == 1:
        return []
    differences = [(fids[arm] - fids[against]).tolist() for arm, against in pairs]
    p_values = np.array([_replicated(values).p_value for values in differences])
    return [
        FidComparison(
            arm=arm, against=against, difference=estimate(values), p_value=float(p), p_corrected=float(corrected),
            verdict=verdict(float(np.mean(values)), float(corrected)),
        )
        for (arm, against), values, p, corrected in zip(pairs, differences, p_values, holm(p_values), strict=True)
    ]  # fmt: skip


def verdict(difference: float, p_corrected: float) -> FidVerdict:
    """Whether a difference is shown."""
    if p_corrected >= SIGNIFICANCE:
        return "undecided"
    return "higher" if difference > 0 else "lower"


def conclusion(arms: Sequence[FederatedArm], comparisons: Sequence[FidComparison]) -> str:
    """The sentence at the top: the order of the means, which differences are shown, and the paper's order."""
    ends = sorted(arms, key=lambda arm: arm.points[-1].fid.value)
    shown = arms[0].points[-1].images_seen
    parts = [f"After {shown:,} images, mean FID: {', '.join(f'{a.name} {a.points[-1].fid.value:.1f}' for a in ends)}."]
    for word in ("higher", "lower"):
        shown_ones = [
            f"{c.arm} than {c.against} by {c.difference.text('+.1f')}" for c in comparisons if c.verdict == word
        ]
        if shown_ones:
            parts.append(f"{word.capitalize()}: {'; '.join(shown_ones)}.")
    open_ones = [f"{c.arm} and {c.against}" for c in comparisons if c.verdict == "undecided"]
    if open_ones:
        which = "any two arms that were compared" if len(open_ones) == len(comparisons) else "; ".join(open_ones)
        parts.append(f"No difference is shown between {which}: see how wide the intervals are.")
    if not comparisons:
        parts.append("With one repeat no difference can be told from luck in training.")
    if {"centralised", "one client", "federated"} <= {arm.name for arm in arms}:
        by_fid = _is_papers({arm.name: arm.points[-1].fid.value for arm in arms})
        by_loss = _is_papers({arm.name: arm.points[-1].critic_loss.value for arm in arms})
        decided = {(c.arm, c.against): c.verdict for c in comparisons}
        certain = decided.get(("one client", "federated")) == decided.get(("one client", "centralised")) == "higher"
        of_fid = "these differences support it" if by_fid and certain else "as means only" if by_fid else "not here"
        of_loss = "as means only" if by_loss else "not here"
        parts.append(f"The paper's order ({PAPER}): by FID {of_fid}; by negative critic loss, its measure, {of_loss}.")
    return " ".join(parts)


def _is_papers(at: Mapping[str, float]) -> bool:
    """Whether one client is worst (highest), and federated nearer to centralised than to it."""
    near = abs(at["federated"] - at["centralised"]) < abs(at["one client"] - at["federated"])
    return near and at["one client"] == max(at["centralised"], at["one client"], at["federated"])


def notes(s: FederatedExperimentSettings) -> tuple[str, ...]:
    """What a reader must know."""
    said = []
    if any(arm in s.arms for arm in ("federated", "skewed", "generator shared")):
        said.append(
            f"all arms are shown as many images, so a federation of {s.clients_a_round} clients a round takes "
            f"1/{s.clients_a_round} of the steps that one training takes"
        )
    said.append("the held-out films are the same in every repeat: the intervals do not include the choice of films")
    if s.repeats == 2:
        said.append("two repeats say little about luck in training, so the intervals are very wide")
    return tuple(said)


def _replicated(values: Sequence[float]) -> Replicated:
    spread = float(np.std(values, ddof=1)) / np.sqrt(len(values))
    return Replicated(float(np.mean(values)), 0.0, float(spread), len(values))
