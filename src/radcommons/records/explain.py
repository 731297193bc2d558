"""The record of what a generator's labels do."""

from pydantic import BaseModel, ConfigDict

from radcommons.records.estimate import Estimate
from radcommons.records.record import Record


class MorphResult(BaseModel):
    """A label raised from 0 to 1 on the same pseudo-patients.

    Attributes:
        findings: raised together; all others stay 0.
        strengths: label value of each frame.
        patients: pseudo-patients, numbers 0 ... patients - 1 of the seed.
        strip, animation, video, frames: files, relative to the record; no video where ffmpeg was not found.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    findings: tuple[str, ...]
    strengths: tuple[float, ...]
    patients: int
    seed: int
    strip: str
    animation: str
    video: str | None
    frames: str


class RegionScore(BaseModel):
    """A map held against where its finding is known to sit.

    Attributes:
        source: where that is known from.
        cases: films or boxes behind the region.
        points_inside: whether the pixel of the largest change lies in the region.
        auroc: chance that a pixel of the region changes more than one where the finding never sits.
        auroc_moved: the same of regions moved elsewhere in the body, mean; None where none fits elsewhere.
        moves: how many.
        moves_as_high: share of them that score as high as the true one.
        auroc_others: the same map against other findings' regions, mean; None where there is none.
        gain: chance that a pixel of the region gains more signal than one where the finding never sits; above 0.5 the
            region grows whiter against the rest, below blacker; the exposure of the whole film does not count.
        moves_as_far: share of moved regions whose `gain` is as far from 0.5.
        change_inside, change_outside: root mean square change of a pseudo-patient, grey levels, in the region and
            where the finding never sits.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
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


class MapResult(BaseModel):
    """Diseased minus healthy image of the same latents.

    Attributes:
        images: pairs behind the mean.
        smoothing: sigma of the Gaussian, share of the image's side; 0 = raw.
        strongest: mean change of the pixel that changes most, grey levels, with its sign; `strongest_error` its
            standard error.
        change: root mean square change of a pseudo-patient over all pixels, grey levels.
        overall: mean change over the body, grey levels: another exposure rather than a place.
        clear_share: share of pixels whose mean change exceeds three standard errors.
        collapsed: no pixel changes by one grey level on average: there is nothing to draw.
        outside_body: share of the change outside the body; None where the film has no outside.
        outside_body_area: share of the pixels outside the body.
        identity: how far apart the two images of a pseudo-patient are, against two different pseudo-patients, in the
            features of `extractor`; 0 = the same image, 1 = as different as another person.
        score: against a known region; None where none is known, and `unscored` says why.
        statement: the result in words.
        picture, numbers: files, relative to the record; no picture where there is nothing to draw.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
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
    numbers: str


Matrix = tuple[tuple[float | None, ...], ...]


class Correlation(BaseModel):
    """Every label of a generator against every output of a classifier of real films (paper section 5, Fig. 5).

    Matrices have a row a label and a column an output, in the order of `findings`; None where one of them is constant.

    Attributes:
        findings: known to both, those that go together side by side.
        only_generator, only_classifier: left out, because the other does not know them.
        images: for each label, drawn with that label uniform in [0, 1] and all others 0.
        classifier, classifier_sha256: name and weights.
        pearson, spearman: of the label with the output's probability; `_low`, `_high` their 95% intervals.
        training: correlation of the labels in training (phi), from the combinations that the generator publishes.
        withheld: share of training images whose combination is not published.
        blocks: findings that average linkage joins above a mean correlation of 0.3.
        follows_training: Spearman's correlation of the off-diagonal entries of `pearson`, both directions averaged,
            with those of `training`; None for fewer than four findings.
        statement: the result in words.
        picture, scatter, table, scores: files, relative to the record.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
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
    follows_training: float | None
    statement: str
    picture: str
    scatter: str
    table: str
    scores: str

    def own(self, finding: str) -> float | None:
        """Pearson's correlation of a label with its own output; None where one is constant or not known to both."""
        if finding not in self.findings:
            return None
        place = self.findings.index(finding)
        return self.pearson[place][place]


class Explanation(Record):
    """``explain.json``: what the labels of a generator do. All pictures beside it are synthetic.

    Attributes:
        generator, generator_sha256: name and weights.
        findings: the generator's, in label order.
        morphs, maps: a set of findings each, in the order they were first made.
        correlation: labels against a classifier; None where it was not asked for.
    """

    generator: str
    generator_sha256: str
    resolution: int
    images_seen: int
    findings: tuple[str, ...]
    morphs: tuple[MorphResult, ...] = ()
    maps: tuple[MapResult, ...] = ()
    correlation: Correlation | None = None
