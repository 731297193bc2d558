"""A measured number and its uncertainty, as all records write it."""

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
