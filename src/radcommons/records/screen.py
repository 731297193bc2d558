"""The record of a screen for wrong or poisoned labels."""

from radcommons.records.record import Record, RecordPart


class FindingScreen(RecordPart):
    """One finding.

    Attributes:
        present, absent: images labelled so.
        auc: of the out-of-fold probabilities against the given labels; near 0.5 the screen cannot find anything.
        suspects: labels that the confident joint counts as wrong.
        wrong_present, wrong_absent: estimated number of wrong labels among each; too high where classes overlap.
        planted: labels of each class that were flipped for the control.
        listed_present, listed_absent: how many of these, now labelled present or absent, the confident joint counts as
            wrong; listed_right: the share of the other labels that it counts as wrong.
        found_present, found_absent: share of these that rank above all but a share (the false-alarm rate) of the other
            labels; about that rate for a screen that cannot find anything.
    """

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
        folds: parts; a classifier that had not seen a part scored it.
        planted_share: share of each finding's rarer class; as many labels of either class were flipped for the control.
        false_alarm_rate: a flipped label counts as found where at most this share of its class's right labels rank
            above it.
    """

    source: str
    images: int
    folds: int
    planted_share: float
    false_alarm_rate: float
    seed: int
    findings: tuple[FindingScreen, ...]
    sentence: str
