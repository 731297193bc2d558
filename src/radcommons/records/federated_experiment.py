"""The record of the experiment of Fig. 4."""

from typing import Any, Literal

from radcommons.records.estimate import Estimate
from radcommons.records.record import Record, RecordPart

FidVerdict = Literal["higher", "lower", "undecided"]


class Measures(RecordPart):
    """One generator, or the pool of several, at one point of its training.

    Attributes:
        images_seen: real images shown to all clients together.
        fid: Frechet distance of features to held-out films.
        critic_loss: negative critic loss of an independent critic, on held-out films.
        own_critic: Wasserstein distance that its own critic saw in training; None for other losses.
        precision, recall, coverage: of the features' manifolds.
    """

    images_seen: int
    fid: float
    critic_loss: float
    own_critic: float | None
    precision: float
    recall: float
    coverage: float


class ArmPoint(RecordPart):
    """An arm at one point of training: means over the repeats, with intervals."""

    images_seen: int
    fid: Estimate
    critic_loss: Estimate
    own_critic: Estimate | None


class FederatedArm(RecordPart):
    """One way to train.

    Attributes:
        films: training films of each client, or of all; of the first repeat.
        points: in order; the last is the end.
        precision, recall, coverage: at the end.
        repeats: the measures of each repeat at each point.
    """

    name: str
    description: str
    films: tuple[int, ...]
    points: tuple[ArmPoint, ...]
    precision: Estimate
    recall: Estimate
    coverage: Estimate
    repeats: tuple[tuple[Measures, ...], ...]


class FidComparison(RecordPart):
    """Two arms at the end of training, repeat by repeat.

    Attributes:
        difference: FID of `arm` minus that of `against`.
        p_value: two-sided, of no difference, by Student's t over the repeats.
        p_corrected: after Holm, over all comparisons.
    """

    arm: str
    against: str
    difference: Estimate
    p_value: float
    p_corrected: float
    verdict: FidVerdict


class FederatedExperimentResult(Record):
    """``result.json`` of the experiment.

    Attributes:
        simulated: whether all films are simulated; None in results of earlier versions.
        sentence: what the data support; it follows from the intervals by fixed rules.
        training_films, held_out_films, held_out_patients: of all stores together.
        images: synthetic images, and real films, of each measure.
        real: training films in place of synthetic images, the best that there is: FID and the others.
        settings: of the experiment.
    """

    simulated: bool | None = None
    sentence: str
    notes: tuple[str, ...]
    training_films: int
    held_out_films: int
    held_out_patients: int
    images: int
    real: Measures
    arms: tuple[FederatedArm, ...]
    comparisons: tuple[FidComparison, ...]
    settings: dict[str, Any]
    versions: dict[str, str]
