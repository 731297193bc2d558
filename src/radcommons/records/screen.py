"""The record of a screen for wrong or poisoned labels."""

from pydantic import BaseModel, ConfigDict

from radcommons.records.record import Record


class FindingScreen(BaseModel):
    """One finding.

    Attributes:
        present, absent: images labelled so.
        auc: of the out-of-fold probabilities against the labels as given; near 0.5 the screen sees nothing.
        suspects: labels that the confident joint takes for wrong.
        wrong_present, wrong_absent: estimated number of wrong labels among each; too high where classes overlap.
        planted: labels of each kind that were turned over for the control.
        found_present, found_absent: share of these, now labelled present or absent, that was found at the false-alarm
            rate; a screen that sees nothing finds as many as it raises false alarms.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    finding: str
    present: int
    absent: int
    auc: float
    suspects: int
    wrong_present: float | None
    wrong_absent: float | None
    planted: int
    found_present: float | None
    found_absent: float | None


class ScreenResult(Record):
    """``screen.json``.

    Attributes:
        source: what was screened, in words.
        folds: parts; each was judged by a classifier that had not seen it.
        planted_share: share of each finding's rarer class that was turned over, in either class, for the control.
        false_alarm_rate: share of right labels of a class that may be flagged.
    """

    source: str
    images: int
    folds: int
    planted_share: float
    false_alarm_rate: float
    seed: int
    findings: tuple[FindingScreen, ...]
    sentence: str
