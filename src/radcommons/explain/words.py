"""A difference map's result in a sentence that claims no more than the numbers do."""

from radcommons.explain.chosen import title
from radcommons.records import MapResult, RegionScore

BY_CHANCE = 0.05  # share of moved regions that may score as high
SAME_PERSON, ANOTHER_PERSON = 0.5, 0.9  # of the distance between two pseudo-patients


def statement(result: MapResult) -> str:
    """What the map of a set of findings shows."""
    name = title(result.findings)
    if result.collapsed:
        if result.change.value == 0:
            return f"The label changes nothing: the images with and without {name} are the same. No map is drawn."
        return (
            f"The label does next to nothing: no pixel changes by one grey level on average (at most "
            f"{abs(result.strongest):.2f}), which is below the rounding of an image. No map is drawn."
        )
    sentences = [_strength(result)]
    if result.score is not None:
        sentences.append(_place(name, result.score))
    if result.identity is not None:
        sentences.append(_person(result.identity.value))
    return " ".join(sentences)


def _strength(result: MapResult) -> str:
    sign = "more" if result.strongest > 0 else "less"
    clear = f"{result.clear_share:.0%} of the pixels change by more than chance would give"
    if result.images == 1:
        clear = "one pseudo-patient says nothing of chance"
    return f"At most {abs(result.strongest):.0f} grey levels {sign} signal on average; {clear}."


def _place(name: str, score: RegionScore) -> str:
    better = score.shifts_as_high is None or score.shifts_as_high <= BY_CHANCE
    own = score.auroc_others is None or score.auroc > score.auroc_others
    told = f"(AUROC {score.auroc:.2f}; 0.5 = anywhere)"
    if score.auroc > 0.5 and better and own and score.points_inside:
        return f"The change sits where {name} sits {told}, its strongest point included."
    if score.auroc > 0.5 and better and own:
        return f"The change favours where {name} sits {told}, but its strongest point lies elsewhere."
    if score.auroc <= 0.5:
        return f"The change does not sit where {name} sits {told}."
    why = "the same region moved elsewhere in the body" if not better else "where other findings sit"
    return f"It cannot be said that the change sits where {name} sits {told}: {why} scores as high."


def _person(ratio: float) -> str:
    if ratio < SAME_PERSON:
        return f"The pseudo-patient stays much the same ({ratio:.2f} of the distance to another one)."
    if ratio < ANOTHER_PERSON:
        return f"The pseudo-patient changes too ({ratio:.2f} of the distance to another one)."
    return f"The pseudo-patient becomes another one ({ratio:.2f} of the distance between two): read the map with care."
