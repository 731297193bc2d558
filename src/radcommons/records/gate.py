"""The record of a gate: what a hub examined of a deposit, what it found, and what the depositor can mend."""

from typing import Any, Literal, Self

from pydantic import Field

from radcommons.records.audit import Judgement
from radcommons.records.record import Record, RecordPart

GateStep = Literal[
    "files",
    "signature",
    "records",
    "weights",
    "pictures",
    "card",
    "audit",
    "images",
    "reference",
    "duplicates",
    "process",
]
GateOutcome = Literal["met", "not met", "not tested"]
GateStatus = Literal["passed", "refused", "not examined"]


class GateLine(RecordPart):
    """One rule, its limit and what was found.

    Attributes:
        remedy: what the depositor can do; empty if the rule is met.
    """

    step: GateStep
    rule: str
    limit: str
    found: str
    outcome: GateOutcome
    remedy: str = ""


class ReferenceDistance(RecordPart):
    """How far the generated images are from films, by registered statistics.

    Attributes:
        name: of the statistics.
        fid: Frechet distance of `image_count` images to them; of the same statistics only do distances compare.
        fid_films, fid_blurred, fid_noise: the same of films of other patients, blurred films and noise.
        films: behind the statistics.
        ms_ssim_films: mean MS-SSIM of pairs of them.
    """

    name: str
    extractor: str
    extractor_sha256: str
    side: int
    image_count: int
    films: int
    fid: float
    fid_films: float
    fid_blurred: float
    fid_noise: float
    ms_ssim_films: float | None = None


class GateFigures(RecordPart):
    """What the hub measured on images that it drew itself.

    Attributes:
        image_count, side, seed: of the images, with labels as in training.
        flat: share of images that hardly vary.
        ms_ssim: mean MS-SSIM of random pairs; high = alike. None for images too small for it.
        repeats: share of images that nearly repeat another one.
        label_effect: mean change of grey levels when a finding is switched on, by finding.
        ms_ssim_by_finding: mean MS-SSIM of pairs that share the finding.
        distances: to every registered reference of this size.
    """

    image_count: int
    side: int
    seed: int
    flat: float
    ms_ssim: float | None
    repeats: float
    label_effect: dict[str, float]
    ms_ssim_by_finding: dict[str, float]
    distances: tuple[ReferenceDistance, ...] = ()


class KnownDeposit(RecordPart):
    """A deposit that a hub has already, for the search for duplicates: its name, weights and `fingerprint`."""

    name: str
    weights_sha256: str
    fingerprint: str | None = None


class GateVerdict(Record):
    """What the gate says of a deposit.

    Attributes:
        status: "not examined" if the examination did not come to its end; the deposit can be submitted again.
        statement: the verdict in words.
        lines: every rule that was looked at, in the order of the examination.
        name, weights_sha256: of the generator, where they could be read.
        key_fingerprint: of the registered key that signed it.
        figures: what was measured.
        judgement: the site's audit by the hub's rules.
        fingerprint: of the images, to recognise the generator among later deposits.
        network_off: whether the examination could reach a network; None if it did not run in a process of its own.
        rules, versions: what would make the verdict again.
        seconds: that it took.
    """

    status: GateStatus
    statement: str
    lines: tuple[GateLine, ...]
    name: str | None = None
    weights_sha256: str | None = None
    key_fingerprint: str | None = None
    figures: GateFigures | None = None
    judgement: Judgement | None = None
    fingerprint: str | None = None
    network_off: bool | None = None
    rules: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    seconds: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the deposit may be published."""
        return self.status == "passed"

    @property
    def broken(self) -> tuple[GateLine, ...]:
        """The rules that are not met."""
        return tuple(line for line in self.lines if line.outcome == "not met")

    @classmethod
    def not_examined(cls, why: str, remedy: str, **known: Any) -> Self:
        """The verdict on an examination that did not come to its end."""
        line = GateLine(
            step="process", rule="examination", limit="comes to its end", found=why, outcome="not tested", remedy=remedy
        )
        return cls(status="not examined", statement=f"Not examined: {why}; {remedy}.", lines=(line,), **known)


class GateRequest(Record):
    """What a process is asked to examine.

    Attributes:
        public_keys: PEM files of the registered keys.
        references: files of reference statistics.
        rules: settings of the gate.
        known: deposits that the hub has already.
    """

    public_keys: tuple[str, ...]
    references: tuple[str, ...]
    rules: dict[str, Any]
    known: tuple[KnownDeposit, ...]
