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
        listed_present, listed_absent: how many of these, now labelled present or absent, the confident joint takes for
            wrong; listed_right: share of the other labels that it does.
        found_present, found_absent: share of these that is more suspect than all but a share (the false-alarm rate) of
            the other labels; of a screen that sees nothing as large as that rate.
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
    listed_present: int
    listed_absent: int
    listed_right: float
    found_present: float | None
    found_absent: float | None


class ScreenResult(Record):
    """``screen.json``.

    Attributes:
        source: what was screened, in words.
        folds: parts; each was judged by a classifier that had not seen it.
        planted_share: share of each finding's rarer class that was turned over, in either class, for the control.
        false_alarm_rate: share of right labels of a class that may stand above a planted one for it to count as found.
    """

    source: str
    images: int
    folds: int
    planted_share: float
    false_alarm_rate: float
    seed: int
    findings: tuple[FindingScreen, ...]
    sentence: str
