"""State the result of a difference map in a few sentences that claim no more than the numbers show."""

from radcommons.explain.finding_sets import title
from radcommons.records import MapResult, RegionScore

BY_CHANCE = 0.05  # share of moved regions that may score as high
SAME_PERSON, ANOTHER_PERSON = 0.5, 0.9  # share of the distance between two persons
EXPOSURE = 0.25  # share of the strongest change; a larger mean over the body is reported as exposure


def statement(result: MapResult) -> str:
    """What the map of a set of findings shows."""
    name = title(result.findings)
    if result.collapsed:
        if result.change.value == 0:
            return f"The label changes nothing: the images with and without {name} are the same. No map is drawn."
        return (
            f"The label changes almost nothing: the mean change is at most {abs(result.strongest):.2f} grey levels, "
            "below the rounding of an image. No map is drawn."
        )
    sentences = [_strength(result)]
    if result.score is not None:
        sentences.append(_place(f"{name} {'sits' if len(result.findings) == 1 else 'sit'}", result.score))
    if result.identity is not None:
        sentences.append(_person(result.identity.value))
    return " ".join(sentences)


def _strength(result: MapResult) -> str:
    change = f"{abs(result.strongest):.0f} grey levels {'brighter' if result.strongest > 0 else 'darker'}"
    if result.images > 1:
        text = f"The strongest mean change is {change}."
    else:
        text = f"The strongest change is {change}, for this one latent vector; others may differ."
    if abs(result.overall) > EXPOSURE * abs(result.strongest):
        kind = "brighter" if result.overall > 0 else "darker"
        text += f" The whole body becomes {kind}, by {abs(result.overall):.0f} on average: part of this is exposure."
    return text


def place_in_words(score: RegionScore) -> str:
    """Whether the change sits in the region, in few words, for a table."""
    if in_its_region(score):
        return "yes"
    return "no" if score.auroc <= 0.5 else "not certain"


def _place(name: str, score: RegionScore) -> str:
    """`name` with its verb: "Effusion sits"."""
    told = f"(AUROC {score.auroc:.2f}; 0.5 = anywhere)"
    if in_its_region(score):
        point = ", with its strongest point" if score.points_inside else ", but its strongest point is elsewhere"
        return f"The change sits where {name} {told}{point}."
    if score.auroc <= 0.5:
        text = f"The change is not largest where {name} {told}"
    else:
        text = f"It is not certain that the change sits where {name} {told}: other regions score as high"
    if score.moves_as_far is not None and score.moves_as_far <= BY_CHANCE:
        kind = "brighter" if score.gain > 0.5 else "darker"
        return f"{text}; but relative to the rest of the film that region becomes {kind} (AUROC {score.gain:.2f})."
    return f"{text}."


def in_its_region(score: RegionScore) -> bool:
    """Whether the region scores above chance, above the same region moved, and above other findings' regions."""
    moved = score.moves_as_high is None or score.moves_as_high <= BY_CHANCE
    others = score.auroc_others is None or score.auroc > score.auroc_others
    return score.auroc > 0.5 and moved and others


def _person(ratio: float) -> str:
    if ratio < SAME_PERSON:
        return f"The person stays much the same ({ratio:.2f} of the distance to another person)."
    if ratio < ANOTHER_PERSON:
        return f"The person changes too ({ratio:.2f} of the distance to another person)."
    return f"The person becomes another one ({ratio:.2f} of the distance to another person): read the map with care."
