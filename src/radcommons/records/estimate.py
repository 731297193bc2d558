"""A measured number and its uncertainty, as all records write it, and how pages write numbers for people."""

import math

from radcommons.records.record import RecordPart


class Estimate(RecordPart):
    """A number with its 95% interval, where there is one."""

    value: float
    low: float | None = None
    high: float | None = None

    def text(self, form: str = ".3f") -> str:
        """For people, e.g. ``0.812 (0.780 to 0.843)``; `form` is the format of each number."""
        if self.low is None or self.high is None:
            return format(self.value, form)
        return f"{self.value:{form}} ({self.low:{form}} to {self.high:{form}})"


def p_text(p: float, significance: float = 0.001) -> str:
    """A p value for people: three decimals, or that it lies below `significance`, which rounding must not hide."""
    return f"p < {significance:g}" if p < significance else f"p {p:.3f}"


def share_text(share: float, count: int | None, what: str) -> str:
    """A smallest share for people, e.g. ``3 in 600 images (0.5%)``; `count` is of how many, None if not known."""
    if count is None:
        return f"{share:.1%} of the {what}"
    return f"{max(1, math.ceil(share * count - 1e-6)):,} in {count:,} {what} ({share:.1%})"
