"""The record of an audit: quality scores, privacy tests, controls, and how a policy judges them."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from radcommons.records import audit_version_1
from radcommons.records.estimate import Estimate, share_text
from radcommons.records.federation import FederationRecord
from radcommons.records.record import Record, RecordPart

PrivacyTestKind = Literal[
    "near-duplicates",
    "distance to closest record",
    "data copying",
    "data copying by finding",
    "re-identification",
    "membership inference: black-box",
    "membership inference: white-box",
    "membership inference: through the critic",
    "train-test duplicates",
    "sanity check: no generator",
    "sanity check: halves of the training part",
]
Space = Literal["re-identification features", "SSIM", "extractor features"]
ImageSet = Literal[
    "training films",
    "held-out films",
    "synthetic images",
    "noise",
    "blurred training films",
    "changed training films",
    "training films, equal counts per finding",
    "synthetic images, equal counts per finding",
]
Outcome = Annotated[
    Literal["met", "not met", "not tested", "inconclusive"],
    BeforeValidator(lambda word: "inconclusive" if word == "could not detect" else word),  # of earlier versions
]
LEAK_WORDS: dict[Outcome, str] = {  # of a test for leaks: the worst first, then the most that can be said
    "not met": "leak found",
    "met": "no leak found",
    "inconclusive": "inconclusive",
    "not tested": "not tested",
}


class QualityScore(RecordPart):
    """How near one set of images is to another, seen through one extractor.

    Attributes:
        images, reference: what was compared with what. Training films against held-out films are the real-vs-real
            baseline; noise and blurred training films against held-out films are the controls.
        change: what was done to "changed training films", to show what the measures see.
        finding: the finding that all images show; None if they show any.
        image_count, reference_count: images of each.
        extractor, extractor_sha256, resize: scores compare only if all three agree.
        fid, kid: Frechet and kernel distance of the features, 0 = alike; None if there are too few images.
        precision, recall, density, coverage: 1 = alike (Kynkaanniemi 2019, Naeem 2020).
    """

    images: ImageSet
    reference: ImageSet
    change: str | None = None
    finding: str | None = None
    image_count: int
    reference_count: int
    extractor: str
    extractor_sha256: str
    resize: str
    fid: Estimate | None = None
    kid: Estimate | None = None
    precision: float | None = None
    recall: float | None = None
    density: float | None = None
    coverage: float | None = None


class Histogram(RecordPart):
    """How two sets of values spread: `edges` (bins + 1), and for each named set the share of its values in each bin."""

    edges: tuple[float, ...]
    shares: dict[str, tuple[float, ...]]


class Spectrum(RecordPart):
    """Power by spatial frequency over that of held-out films; 1 = alike, low = blurred, high = stripes or noise.

    Attributes:
        edges: of the bands, cycles per pixel (bands + 1).
        ratio: in each band.
    """

    images: ImageSet
    edges: tuple[float, ...]
    ratio: tuple[float, ...]


class Diversity(RecordPart):
    """MS-SSIM of random pairs of images that share a finding; high = alike, collapsed.

    Attributes:
        spread: the values behind the means.
        pairs: how many pairs of each kind.
        scales, side: of the MS-SSIM; five scales need more than 160 pixels. Values of others do not compare.
        real, synthetic: mean over pairs; `_sd` their standard deviation.
    """

    finding: str
    pairs: int
    scales: int
    side: int
    real: float
    real_sd: float
    synthetic: float
    synthetic_sd: float
    spread: Histogram


class Fidelity(RecordPart):
    """Whether images drawn for a finding look so to a classifier trained on real films.

    `radcommons.metrics.label_fidelity` says in a word whether the generator has learned the finding.

    Attributes:
        positives: training films with the finding.
        patients: held-out patients with it, behind `auc_real`; None in reports of earlier versions.
        images: synthetic images drawn for it, behind `auc_synthetic`; None in reports of earlier versions.
        auc_real: the classifier's AUC on held-out films; near 0.5 `auc_synthetic` means nothing.
        auc_synthetic: its AUC on synthetic films by the label they were drawn for.
        strengths, scores: label value and mean score (a probability) of films drawn at it; empty without weights.
    """

    finding: str
    positives: int
    patients: int | None = None
    images: int | None = None
    auc_real: Estimate
    auc_synthetic: Estimate
    strengths: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()


class FindingDistance(RecordPart):
    """How near the synthetic images of one finding are to held-out films with it, beside training films in their place.

    Attributes:
        image_count: images of each kind, one film per patient; scores compare only at the same count and extractor.
        fid, fid_baseline: Frechet distance of synthetic images and of training films; far too high if images are few.
        fid_ratio: the first over the second; 1 = as near as training films. Few images pull it towards 1.
        kid, kid_baseline: kernel distance of both, unbiased.
        kid_excess: the first less the second; 0 = as near as training films, whatever the count.
        skipped: why it was not measured; then there are no numbers.
    """

    finding: str
    image_count: int
    extractor: str
    extractor_sha256: str
    fid: float | None = None
    fid_baseline: float | None = None
    fid_ratio: Estimate | None = None
    kid: float | None = None
    kid_baseline: float | None = None
    kid_excess: Estimate | None = None
    skipped: str | None = None


class PrivacyTest(RecordPart):
    """One attack or comparison that looks for a leak.

    Attributes:
        kind: what is tested; a policy has one rule for each kind.
        space: how images are compared; None if the test compares no images.
        access: what an attacker would need: "samples", "weights", "critic" (it never leaves the hospital), or "films"
            (of the store itself: a check of the audit's own data).
        question: what is asked, in words.
        measure: what `result` is.
        result: the value found, with its interval.
        expected: the value without a leak.
        p_value: chance of a value as far towards a leak without one.
        detection: the smallest leak that the test would have detected, in words.
        detection_limit: the same as a number: an AUC for membership inference and sanity checks, else the share of
            copies among the images. It is for the significance of the audit's own policy. None if not even the
            largest leak is sure to be detected, or if the record does not say.
        counts: numbers of images and patients behind it.
        details: further numbers.
        curve: points (false positive rate, true positive rate) of an attack.
        spread: the values that were compared.
        skipped: why it was not done; then there is no result.
    """

    kind: PrivacyTestKind
    space: Space | None = None
    access: Literal["samples", "weights", "critic", "films"]
    question: str
    measure: str = ""
    result: Estimate | None = None
    expected: float | None = None
    p_value: float | None = None
    detection: str = ""
    detection_limit: float | None = None
    counts: dict[str, int] = Field(default_factory=dict)
    details: dict[str, float] = Field(default_factory=dict)
    curve: tuple[tuple[float, float], ...] = ()
    spread: Histogram | None = None
    skipped: str | None = None

    @property
    def name(self) -> str:
        """Kind and space, for people."""
        return self.kind if self.space is None else f"{self.kind}, {self.space}"

    @property
    def is_attack(self) -> bool:
        """Whether it needs nothing but what leaves the hospital."""
        return self.access in ("samples", "weights")

    @property
    def measures_auc(self) -> bool:
        """Whether `result` and `detection_limit` are AUCs: 0.5 = a guess, 1 = every member is found."""
        return self.kind.startswith(("membership inference", "sanity check"))

    @property
    def found(self) -> str:
        """The result with its unit and interval, for people; why there is none."""
        if self.result is None:
            return f"not done: {self.skipped}"
        if self.measures_auc:
            return f"AUC {self.result.text('.2f')}"
        if self.kind == "data copying by finding" and (looked_at := self.counts.get("findings")):
            return f"z {self.result.value:.1f} (findings with enough films: {looked_at})"
        if self.kind.startswith("data copying"):
            return f"z {self.result.value:.1f}"
        if self.kind == "distance to closest record":
            return f"{self.result.text('.0%')} of the images"
        count, what = self._searched
        return f"{self.result.value:,.0f} {what}" if count is None else f"{self.result.value:,.0f} of {count:,} {what}"

    @property
    def detectable(self) -> str:
        """The smallest leak that the test would have detected in 4 cases of 5, for people."""
        limit = self.detection_limit
        if limit is None:
            return "not even a perfect attack" if self.measures_auc else "not even copies alone"
        if self.measures_auc:
            return f"an AUC of {limit:.2f} or more"
        if self.kind == "data copying by finding":
            return f"copies from {limit:.1%} of the images of a finding on"
        return f"copies from {share_text(limit, *self._searched)} on"

    @property
    def _searched(self) -> tuple[int | None, str]:
        """Among how many images or films copies are looked for; None if the record does not say."""
        if self.kind != "train-test duplicates":
            return self.counts.get("synthetic images"), "images"
        return sum(count for name, count in self.counts.items() if name.endswith("films")) or None, "films"


class Control(RecordPart):
    """A case whose answer is known, put through the same tests.

    Attributes:
        must_be_caught: True for a positive control (a planted leak), False for a negative control (no leak).
        caught_by: names of the tests that found a leak.
    """

    name: str
    description: str
    must_be_caught: bool
    caught_by: tuple[str, ...]

    @property
    def behaved(self) -> bool:
        """Whether the tests gave the known answer."""
        return bool(self.caught_by) == self.must_be_caught


class PolicyLine(RecordPart):
    """One rule of the policy, its limit, and what was found.

    Attributes:
        verdict: which of the two verdicts the rule belongs to.
        outcome: "inconclusive" if the test would have missed the leak that the policy asks about.
    """

    rule: str
    verdict: Literal["privacy", "quality"]
    meaning: str
    limit: str
    found: str
    outcome: Outcome


class Judgement(RecordPart):
    """What a policy says of an audit's results.

    Attributes:
        privacy, quality: "failed" if a rule of that verdict is not met.
        statement: the privacy verdict in words that claim no more than was tested.
        quality_statement: the quality verdict in words.
        lines: every rule.
    """

    privacy: Literal["passed", "failed"]
    quality: Literal["passed", "failed", "not tested"]
    statement: str
    quality_statement: str
    lines: tuple[PolicyLine, ...]

    @property
    def broken(self) -> tuple[str, ...]:
        """The rules that are not met."""
        return tuple(line.rule for line in self.lines if line.outcome == "not met")


class PatientsInTraining(RecordPart):
    """How many patients of the store were in the generator's training, by the list beside its weights.

    Attributes:
        in_training, held_out, for_reference: of the patients of each part; the report's `counts` say of how many.
        incomparable: why more may have been in its training all the same; None if the numbers are complete.
    """

    in_training: int
    held_out: int
    for_reference: int
    incomparable: str | None


class AuditResults(Record):
    """Everything that an audit did and found, before a policy judges it.

    Attributes:
        subject, kind: name of what was audited; "generator" or "set".
        digest: SHA-256 of the generator's weights or of the set's images.
        patients: who of the store was in the generator's training; None in reports of earlier versions.
        federation: how several hospitals trained the generator together; None if one did, and in reports of earlier
            versions.
        trained_on_store: whether the run's own checkpoint names this store; None if that cannot be known.
        store, store_manifest_sha256: the site and the films compared with.
        simulated: whether these films are all of the phantom, so that no patient is behind them; also False in reports
            of earlier versions.
        counts: images and patients of each part.
        detection_limit: smallest share of copied images among the synthetic ones that some test would have detected;
            None if not even a set of copies alone would have been detected.
        settings, versions: what would make it again.
        by_finding: distances of each finding; empty in reports of earlier versions.
        label_classifier: the classifier that looked at the labels, in words; None if there was none.
        request_sha256: digest of what was asked, to recognise the same command.
    """

    FORMAT_VERSION: ClassVar[int] = 2
    subject: str
    kind: Literal["generator", "set"]
    digest: str
    findings: tuple[str, ...]
    resolution: int
    images_seen: int | None
    patients: PatientsInTraining | None = None
    federation: FederationRecord | None = None
    trained_on_store: bool | None
    store: str
    store_manifest_sha256: str
    simulated: bool = False
    counts: dict[str, int]
    detection_limit: float | None
    settings: dict[str, Any]
    request_sha256: str
    versions: dict[str, str]
    quality: tuple[QualityScore, ...]
    spectra: tuple[Spectrum, ...] = ()
    by_finding: tuple[FindingDistance, ...] = ()
    diversity: tuple[Diversity, ...]
    fidelity: tuple[Fidelity, ...]
    label_classifier: str | None = None
    privacy: tuple[PrivacyTest, ...]
    controls: tuple[Control, ...]


class AuditReport(AuditResults):
    """``audit.json``: what an audit found and how its policy judges it. It holds no patient's image, identifier or row.

    Attributes:
        judgement: by the policy in `settings`; `radcommons.policy.judge` judges the same results by other rules.
    """

    UPGRADES: ClassVar = {1: audit_version_1.upgraded}
    judgement: Judgement

    @property
    def mostly_inconclusive(self) -> bool:
        """Whether privacy passed though most attacks would have missed a leak of the size the policy asks about."""
        outcomes = {line.rule: line.outcome for line in self.judgement.lines}
        judged = [outcomes[test.name] for test in self.privacy if test.is_attack and test.name in outcomes]
        inconclusive = judged.count("inconclusive")
        return self.judgement.privacy == "passed" and inconclusive > judged.count("met")

    @property
    def privacy_words(self) -> str:
        """The verdict of privacy, for people."""
        return "passed, but most tests are inconclusive" if self.mostly_inconclusive else self.judgement.privacy
