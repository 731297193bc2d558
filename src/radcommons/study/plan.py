"""How many readers and images a reader study needs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from radcommons.metrics.power import images_for_two_shares
from radcommons.metrics.simulated_readers import power_of_readers
from radcommons.seeds import numpy_stream

CHANCE = 0.5


@dataclass(frozen=True)
class Plan:
    """What designs of a study would find.

    one_reader_images: images with which one reader's accuracy would be told apart from one half, for that reader only.
    powers: power by number of readers, then of images per reader.
    sentence: the smallest design that reaches the power that was asked for.
    """

    one_reader_images: int
    powers: dict[int, dict[int, float]]
    sentence: str


def plan_study(
    *,
    accuracy: float,
    power: float,
    significance: float,
    readers: Sequence[int],
    images: Sequence[int],
    reader_spread: float,
    image_spread: float,
    simulations: int,
    seed: int,
) -> Plan:
    """The power of every number of readers with every number of images.

    Args:
        accuracy: that is to be told apart from one half, (0.5, 1).
        power: probability that it is found.
        significance: of the two-sided test.
        readers: numbers of readers, >= 2 each.
        images: numbers of images, which all readers see; half of them synthetic.
        reader_spread, image_spread: see `simulated_answers`.
        simulations: studies behind each power.
        seed: of the simulation; each design has its own stream.
    Raises:
        SettingRefused: the spreads are larger than they can be.
    """
    powers = {
        r: {
            n: power_of_readers(
                r,
                n,
                accuracy=accuracy,
                reader_spread=reader_spread,
                image_spread=image_spread,
                significance=significance,
                studies=simulations,
                rng=numpy_stream(seed, "study plan", r, n),
            )
            for n in sorted(images)
        }
        for r in sorted(readers)
    }
    one = images_for_two_shares(accuracy, CHANCE, power=power, ratio=math.inf, significance=significance)
    enough = [(r * n, r, n) for r, of_images in powers.items() for n, found in of_images.items() if found >= power]
    aim = f"an accuracy of {accuracy:.0%} apart from 50% with a power of {power:.0%}"
    if enough:
        _, r, n = min(enough)
        text = f"{r} readers with {n} images each tell {aim} (the design of these with the fewest answers)."
    else:
        text = f"None of these designs tells {aim}; add readers first, then images."
    return Plan(one, powers, text)
