"""Has a generator learned a finding? A rule in words, from what a classifier of films sees in its images."""

from dataclasses import dataclass
from typing import Literal

from radcommons.metrics.bootstrap import FEW_PATIENTS
from radcommons.records import Fidelity

SHARE = (
    0.8  # of what the classifier's AUC on films has above 0.5: with this much on synthetic images, a label is learned
)
RULE = (
    "A classifier trained on films is the judge. Its AUC says how often it ranks an image with the finding above one "
    f"without it; 0.5 is a guess. The mark is {SHARE:.0%} of the way from 0.5 to its AUC on held-out films. Learned: "
    "the 95% interval of its AUC on synthetic images begins at the mark or above. Partly learned: it begins above 0.5, "
    "but below the mark. Not learned: it begins at 0.5 or below, and ends below the mark. Cannot tell: the interval is "
    "too wide for any of these; or the judge's own AUC on held-out films is not clearly above 0.5; or fewer than "
    f"{FEW_PATIENTS} held-out patients have the finding."
)


@dataclass(frozen=True)
class LabelVerdict:
    """Whether a generator has learned a finding, and why, in words."""

    outcome: Literal["learned", "partly learned", "not learned", "cannot tell"]
    reason: str


def label_verdict(found: Fidelity) -> LabelVerdict:
    """Judge one finding by `RULE`, from the intervals of the classifier's AUC on films and on synthetic images."""
    real, synthetic = found.auc_real, found.auc_synthetic
    if real.low is None or synthetic.low is None or synthetic.high is None:
        return LabelVerdict("cannot tell", "the record gives no interval")
    films, images = real.text(".2f"), synthetic.text(".2f")
    if found.patients is not None and found.patients < FEW_PATIENTS:
        return LabelVerdict("cannot tell", f"only {found.patients} held-out patients have it")
    if real.low <= 0.5:
        reason = f"the judge cannot see it: its AUC on films is {films}, so it cannot tell what the generator learned"
        return LabelVerdict("cannot tell", reason)
    enough = 0.5 + SHARE * (real.value - 0.5)
    seen = f"AUC {images} on synthetic images, {films} on films"
    if synthetic.low >= enough:
        better = real.high is not None and synthetic.low > real.high
        return LabelVerdict(
            "learned", f"the judge sees it {'better than' if better else 'about as well as'} in films: {seen}"
        )
    if synthetic.low > 0.5:
        doubt = "" if synthetic.high < real.low else "perhaps "
        return LabelVerdict("partly learned", f"the judge sees it, but {doubt}less well than in films: {seen}")
    if synthetic.high < enough:
        return LabelVerdict("not learned", f"the judge does not see it: {seen}")
    return LabelVerdict("cannot tell", f"the synthetic images are too few: {seen}")
