"""A difference map's result in a few sentences that claim no more than the numbers do."""

from radcommons.explain.chosen import title
from radcommons.records import MapResult, RegionScore

BY_CHANCE = 0.05  # share of moved regions that may score as high
SAME_PERSON, ANOTHER_PERSON = 0.5, 0.9  # of the distance between two pseudo-patients
EXPOSURE = 0.25  # of the strongest change; a mean over the body above it is worth a word


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
        sentences.append(_place(f"{name} {'sits' if len(result.findings) == 1 else 'sit'}", result.score))
    if result.identity is not None:
        sentences.append(_person(result.identity.value))
    return " ".join(sentences)


def _strength(result: MapResult) -> str:
    text = f"At most {abs(result.strongest):.0f} grey levels {'more' if result.strongest > 0 else 'less'} signal"
    text += " on average." if result.images > 1 else " in this one pseudo-patient, which says nothing of others."
    if abs(result.overall) > EXPOSURE * abs(result.strongest):
        kind = "whiter" if result.overall > 0 else "blacker"
        text += f" The whole body grows {kind}, by {abs(result.overall):.0f} on average: part of this is exposure."
    return text


def _place(name: str, score: RegionScore) -> str:
    """`name` with its verb: "Effusion sits"."""
    told = f"(AUROC {score.auroc:.2f}; 0.5 = anywhere)"
    if _above_controls(score):
        point = (
            ", its strongest point included" if score.points_inside else ", though its strongest point lies elsewhere"
        )
        return f"The change sits where {name} {told}{point}."
    if score.auroc <= 0.5:
        text = f"The change is not largest where {name} {told}"
    else:
        text = f"That the change sits where {name} {told} is not clear: regions elsewhere score as high"
    if score.moves_as_far is not None and score.moves_as_far <= BY_CHANCE:
        kind = "whiter" if score.gain > 0.5 else "blacker"
        return f"{text}; but against the rest of the film that region grows {kind} (AUROC {score.gain:.2f})."
    return f"{text}."


def _above_controls(score: RegionScore) -> bool:
    """Whether the region scores above chance, above itself moved elsewhere, and above other findings' regions."""
    moved = score.moves_as_high is None or score.moves_as_high <= BY_CHANCE
    others = score.auroc_others is None or score.auroc > score.auroc_others
    return score.auroc > 0.5 and moved and others


def _person(ratio: float) -> str:
    if ratio < SAME_PERSON:
        return f"The pseudo-patient stays much the same ({ratio:.2f} of the distance to another one)."
    if ratio < ANOTHER_PERSON:
        return f"The pseudo-patient changes too ({ratio:.2f} of the distance to another one)."
    return f"The pseudo-patient becomes another one ({ratio:.2f} of the distance between two): read the map with care."
