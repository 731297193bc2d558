"""The record of what a generator's labels do: ``explain.json``."""

from typing import Literal

from pydantic import Field

from radcommons.records.estimate import Estimate
from radcommons.records.record import Record, RecordPart


class InterpolationResult(RecordPart):
    """Label interpolation: labels from 0 to 1 at fixed latent vectors.

    Attributes:
        findings: labels that rise together; all others stay 0.
        strengths: label value of each frame.
        patients: number of latent vectors: 0 ... patients - 1 of the seed.
        strip, animation, video, frames: files, relative to the record; no video without ffmpeg, and neither video nor
            frames in a package, which has pictures only.
    """

    findings: tuple[str, ...]
    strengths: tuple[float, ...]
    patients: int
    seed: int
    strip: str
    animation: str
    video: str | None
    frames: str | None


class RegionScore(RecordPart):
    """A map compared with the region where its finding is known to sit.

    Attributes:
        source: where the region comes from.
        cases: number of films or boxes that define the region.
        points_inside: whether the pixel of the largest change is in the region.
        auroc: probability that a pixel of the region changes more than one where the finding never sits.
        auroc_moved: mean of the same for the region moved elsewhere in the body; None if it fits nowhere else.
        moves: number of moved regions.
        moves_as_high: share of moved regions that score as high as the true one.
        auroc_others: mean of the same map against other findings' regions; None if there are none.
        gain: probability that a pixel of the region brightens more than one where the finding never sits; above 0.5 the
            region becomes brighter than the rest, below 0.5 darker; the exposure of the whole film has no effect.
        moves_as_far: share of moved regions with a `gain` as far from 0.5.
        change_inside, change_outside: root mean square change per latent vector, grey levels, in the region and where
            the finding never sits.
    """

    source: str
    cases: int | None
    points_inside: bool
    auroc: float
    auroc_moved: float | None
    moves: int
    moves_as_high: float | None
    auroc_others: float | None
    gain: float
    moves_as_far: float | None
    change_inside: Estimate
    change_outside: Estimate


class MapResult(RecordPart):
    """Difference map: image with findings minus image without, same latent vectors.

    Attributes:
        images: number of pairs in the mean.
        smoothing: sigma of the Gaussian, share of the image's side; 0 = raw.
        strongest: mean change of the pixel that changes most, grey levels, signed; `strongest_error` is its standard
            error.
        change: root mean square change per latent vector over all pixels, grey levels.
        overall: mean change over the body, grey levels: a change of exposure, not of a place.
        clear_share: share of pixels with a mean change above three standard errors.
        collapsed: no pixel changes by one grey level on average, so no map is drawn.
        outside_body: share of the change outside the body; None if the film has no outside.
        outside_body_area: share of the pixels outside the body.
        identity: distance between the two images of one latent vector, divided by that between two different latent
            vectors, in the features of `extractor`; 0 = the same image, 1 = as different as another person.
        score: comparison with the known region; if None, `unscored` says why.
        statement: the result in words.
        picture, numbers: files, relative to the record; no picture if no map is drawn, no numbers in a package.
    """

    findings: tuple[str, ...]
    images: int
    seed: int
    smoothing: float
    strongest: float
    strongest_error: float | None
    change: Estimate
    overall: float
    clear_share: float
    collapsed: bool
    outside_body: float | None
    outside_body_area: float
    identity: Estimate | None
    extractor: str | None
    score: RegionScore | None
    unscored: str | None
    statement: str
    picture: str | None
    numbers: str | None


Matrix = tuple[tuple[float | None, ...], ...]


class JudgeOnFilms(RecordPart):
    """How well a classifier recognises one finding on real films that it has not seen.

    Attributes:
        patients: with films of the rarer class, with or without the finding.
    """

    auc: Estimate
    patients: int


class Correlation(RecordPart):
    """Correlation of every label of a generator with every output of a classifier (paper section 5, Fig. 5).

    Matrices have one row per label and one column per output, in the order of `findings`; None if one is constant.

    Attributes:
        findings: findings that both know, in the order of the clusters.
        only_generator, only_classifier: findings left out because the other does not know them.
        images: number per label, drawn with that label uniform in [0, 1] and all others 0.
        classifier, classifier_sha256: its name and the digest of its weights.
        pearson, spearman: of the label with the output's probability; `_low`, `_high` are their 95% intervals.
        training: correlation of the labels in training (phi), from the combinations that the generator publishes.
        withheld: share of training images with a combination that is not published.
        blocks: findings that average linkage joins above a mean correlation of 0.3.
        own_auc: AUC of the output of a finding, between images drawn with its label above 3/4 and below 1/4.
        on_films: the classifier on real films, by finding; empty if it was not evaluated. `films` says which.
        follows_training: Spearman's correlation of the off-diagonal entries of `pearson`, both directions averaged,
            with those of `training`; None for fewer than four findings.
        pairs: label and output of each scatter plot; empty in older records.
        statement: the result in words.
        picture, scatter, table, scores: files, relative to the record; the last two are not in a package.
    """

    findings: tuple[str, ...]
    only_generator: tuple[str, ...]
    only_classifier: tuple[str, ...]
    images: int
    seed: int
    classifier: str
    classifier_sha256: str
    pearson: Matrix
    pearson_low: Matrix
    pearson_high: Matrix
    spearman: Matrix
    spearman_low: Matrix
    spearman_high: Matrix
    training: Matrix
    withheld: float
    blocks: tuple[tuple[str, ...], ...]
    own_auc: dict[str, Estimate] = Field(default_factory=dict)
    on_films: dict[str, JudgeOnFilms] = Field(default_factory=dict)
    films: str = ""
    follows_training: float | None
    pairs: tuple[tuple[str, str], ...] = ()
    statement: str
    picture: str
    scatter: str
    table: str | None
    scores: str | None

    def own(self, finding: str) -> float | None:
        """Pearson's correlation of a label with its own output; None if one is constant or not known to both."""
        if finding not in self.findings:
            return None
        place = self.findings.index(finding)
        return self.pearson[place][place]


class Explanation(Record):
    """``explain.json``: what the labels of a generator do. All pictures beside it are synthetic.

    Attributes:
        generator, generator_sha256: its name and the digest of its weights.
        findings: the generator's, in label order.
        simulated: whether all films of its training were simulated; False if that is not known.
        precision: in which it drew, "fp32" or "bf16".
        morphs, maps: label interpolations and difference maps, one per set of findings.
        correlation: labels against a classifier; None before ``explain correlate``.
    """

    generator: str
    generator_sha256: str
    resolution: int
    images_seen: int
    findings: tuple[str, ...]
    simulated: bool = False
    precision: Literal["fp32", "bf16"] = "fp32"
    morphs: tuple[InterpolationResult, ...] = ()
    maps: tuple[MapResult, ...] = ()
    correlation: Correlation | None = None
