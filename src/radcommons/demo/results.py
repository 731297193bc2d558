"""What the demo found: ``demo.json``."""

from typing import Literal, Self

from pydantic import BaseModel

from radcommons.audit.flow import PAGE
from radcommons.audit.release import RECORD, by_chance, undetected
from radcommons.audit.tables import all_ways
from radcommons.demo.hub import Published
from radcommons.explain.evidence import Outcome as LabelOutcome
from radcommons.policy.settings import Policy
from radcommons.records import (
    AuditReport,
    Control,
    Estimate,
    ExperimentResult,
    Outcome,
    PolicyLine,
    PrivacyTest,
    PrivacyTestKind,
)


class SiteResult(BaseModel):
    """One hospital: its films and its training."""

    site: str
    images: int
    patients: int
    images_seen: int
    training_seconds: float
    generator_parameters: int


class LabelEffect(BaseModel):
    """What a finding's label does to the images of a generator.

    Attributes:
        outcome, reason: whether the finding was learned, and why; by the rule of `metrics.label_fidelity`.
        auroc: probability that a pixel where the simulation puts the finding changes more than one where it never sits;
            0.5 = chance.
        judge: whose eyes are behind the outcome; empty if nobody's.
        on_images, on_films: how well the judge tells images, and films, with the finding from those without it, AUCs;
            None if nobody judged.
    """

    site: str
    finding: str
    outcome: LabelOutcome
    reason: str
    judge: str
    auroc: float
    on_images: Estimate | None
    on_films: Estimate | None


class LeakTest(BaseModel):
    """One test for a leak.

    Attributes:
        kind, question: what is tested; several tests of a kind compare images by different features.
        is_attack: whether it needs nothing but what leaves the hospital.
        outcome: by the policy; None if it judges no such test.
        found: the result, in words, and for distances what would be found without a leak.
        all_ways: how all ways to compare images ended; empty if there is one.
        detectable, limit: the smallest leak that it would have detected, in words and as a number.
        auc: of membership inference with what leaves the hospital; None of other tests.
    """

    name: str
    kind: PrivacyTestKind
    question: str
    is_attack: bool
    outcome: Outcome | None
    found: str
    all_ways: str
    detectable: str
    limit: float | None
    auc: Estimate | None


class AuditResult(BaseModel):
    """The audit of one hospital's generator.

    Attributes:
        page, release: the audit's page and its release record, relative to the demo's report.
        copies: share of copies among the images that some test would have detected; None if none would have been.
        images: synthetic images that were searched.
        leak_size: what the policy asks of a single test, in words.
        undetected: what a leak could look like that the audit would have missed, in words; the plainest first.
    """

    site: str
    privacy: Literal["passed", "failed"]
    statement: str
    quality: Literal["passed", "failed", "not tested"]
    quality_statement: str
    page: str
    release: str
    copies: float | None
    images: int
    leak_size: str
    undetected: list[str]
    lines: list[PolicyLine]
    tests: list[LeakTest]
    controls: list[Control]

    @classmethod
    def of(cls, site: str, report: AuditReport, folder: str) -> Self:
        """The result in an audit's report; `folder` is the name of its folder."""
        judgement = report.judgement
        outcomes = {line.rule: line.outcome for line in judgement.lines if line.verdict == "privacy"}
        return cls(
            site=site,
            privacy=judgement.privacy,
            statement=judgement.statement,
            quality=judgement.quality,
            quality_statement=judgement.quality_statement,
            page=f"{folder}/{PAGE}",
            release=f"{folder}/{RECORD}",
            copies=report.detection_limit,
            images=report.counts["synthetic images"],
            leak_size=Policy.model_validate(report.settings["policy"]).leak_size,
            undetected=list(undetected(report)),
            lines=list(judgement.lines),
            tests=[
                LeakTest(
                    name=test.name,
                    kind=test.kind,
                    question=test.question,
                    is_attack=test.is_attack,
                    outcome=outcomes.get(test.name),
                    found=_found(test),
                    all_ways=all_ways(test, report),
                    detectable=test.detectable,
                    limit=test.detection_limit,
                    auc=test.result if test.kind.startswith("membership inference") else None,
                )
                for test in sorted(report.privacy, key=lambda test: test.access == "films")
            ],
            controls=list(report.controls),
        )

    @property
    def leaks(self) -> list[LeakTest]:
        """The tests that found one."""
        return [test for test in self.tests if test.outcome == "not met"]

    @property
    def blind(self) -> list[LeakTest]:
        """The attacks that would have missed a leak of the size that the policy asks about."""
        return [test for test in self.judged if test.outcome == "inconclusive"]

    @property
    def judged(self) -> list[LeakTest]:
        """The attacks without a leak that the policy judges, whether they could have detected one or not."""
        return [test for test in self.tests if test.is_attack and test.outcome in ("met", "inconclusive")]

    @property
    def sharpest(self) -> dict[PrivacyTestKind, LeakTest]:
        """Of each kind, the test that would have detected the smallest leak; one that found a leak comes first."""
        found: dict[PrivacyTestKind, LeakTest] = {}
        for test in sorted(self.tests, key=lambda t: (t.outcome != "not met", t.limit is None, t.limit or 0.0)):
            found.setdefault(test.kind, test)
        return {test.kind: found[test.kind] for test in self.tests}

    @property
    def strongest(self) -> Estimate | None:
        """The highest AUC of the attacks that the policy judges: those with what leaves the hospital."""
        aucs = [test.auc for test in self.tests if test.auc and test.outcome]
        return max(aucs, key=lambda auc: auc.value, default=None)

    def broken(self, verdict: Literal["privacy", "quality"]) -> list[str]:
        """The rules of a verdict that are not met."""
        return [line.rule for line in self.lines if line.verdict == verdict and line.outcome == "not met"]


class DemoResult(BaseModel):
    """Everything that the page shows, and the paths of the page, the set and the study.

    Attributes:
        program: `radcommons` as it is typed where the demo ran.
    """

    program: str
    report: str
    synthetic_set: str
    synthetic_images: int
    study: str
    resolution: int
    sites: list[SiteResult]
    effects: list[LabelEffect]
    audits: list[AuditResult]
    published: list[Published]
    experiment: ExperimentResult
    seconds: dict[str, float]


def _found(test: PrivacyTest) -> str:
    compares = test.kind in ("data copying", "data copying by finding", "distance to closest record")
    chance = by_chance(test) if compares else None
    return f"{test.found}; {chance} without a leak" if chance else test.found
