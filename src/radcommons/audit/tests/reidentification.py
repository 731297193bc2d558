"""Re-identification: synthetic images so like a training film that they would be taken for the same patient.

The mean over all images hides a few that are too near. Here the extremes count: the images above a threshold that
hardly any film reaches with a film of another patient, and the nearest image of all.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np

from radcommons.audit.inputs.privacy import PrivacyInputs, SyntheticNeighbours
from radcommons.audit.neighbours.nearest import Nearest
from radcommons.audit.permutation import NullDistribution, Permutation, detectable_value
from radcommons.audit.tests.distance_to_closest_record import detectable_share, detected
from radcommons.records import Estimate, PrivacyTest, Space

FALSE_MATCHES = 0.001  # of films are taken for one of another patient; more where the films are too few to tell
FEWEST_FALSE_MATCHES = 10  # films above the threshold, for it to be measured and not a guess
TEST = partial(
    PrivacyTest,
    kind="re-identification",
    access="samples",
    question="Would more synthetic images be taken for a patient in training than for as many others?",
)


def tests(
    space: Space, synthetic: SyntheticNeighbours, inputs: PrivacyInputs, rng: np.random.Generator
) -> Iterator[PrivacyTest]:
    """Count images whose nearest film is as near as hardly any two patients are, and was in training.

    The threshold comes from training and held-out films alike: it must not depend on the group, since the p value comes
    from patients permuted between the two.
    """
    known, significance = inputs.neighbours[space], inputs.significance
    films, images = known.permutation, len(synthetic.images)
    rate = max(FALSE_MATCHES, FEWEST_FALSE_MATCHES / len(films.patients))
    threshold = match_threshold(films, rate)
    counts = matches(films, synthetic.to_films, threshold, permutations=inputs.settings.permutations, rng=rng)
    to_train, held_out = synthetic.to_train.best, known.held_to_train.best
    expected, value = float(counts.permuted.mean()), detectable_value(counts.permuted, significance)
    limit = detectable_share(
        (value - expected) / images,
        float((inputs.copies[space].to_train.best > threshold).mean()),
        float(films.is_member[films.patients].mean()),
        images,
        significance,
    )
    recognised = inputs.same_patient_auc[space]
    auc = {} if recognised is None else {
        "AUC of held-out pairs of one patient against pairs of two": recognised.value,
        "AUC, from": recognised.low,
        "AUC, to": recognised.high,
    }  # fmt: skip
    yield TEST(
        space=space,
        measure=f"images whose nearest film was in training and lies above {threshold:.3f}, which "
        f"{rate:.2%} of films reach with a film of another patient",
        result=Estimate(value=float(counts.found)),
        expected=expected,
        p_value=counts.p_value(),
        detection=f"more than {int(value)} images {detected(significance, limit)}",
        detection_limit=limit,
        counts={"synthetic images": images, "films": len(films.patients)},
        details={
            "share of images above it": float((to_train > threshold).mean()),
            "share of held-out films above it": float((held_out > threshold).mean()),
            "highest of an image": float(to_train.max()),
            "highest of a held-out film": float(held_out.max()),
        }
        | {name: number for name, number in auc.items() if number is not None},
    )


def match_threshold(films: Permutation, rate: float) -> float:
    """The similarity above which a share `rate` of the films have a film of another patient."""
    return float(np.quantile(films.similarity[:, 0], 1 - rate))


def matches(
    films: Permutation, nearest: Nearest, threshold: float, *, permutations: int, rng: np.random.Generator
) -> NullDistribution:
    """Number of images whose nearest film was in training and lies above a threshold; and with permuted patients.

    Args:
        films: of both groups.
        nearest: films of each image among them, best first.
    """
    owners = films.patients[nearest.rows[nearest.best > threshold, 0]]
    found, *permuted = (float(is_member[owners].sum()) for is_member in films.groups(permutations, rng))
    return NullDistribution(np.array(found), np.array(permuted))
