"""The table of findings that 'data info' and a dry run print."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from radcommons.data.summary import Prevalence


def label_table(findings: "Sequence[Prevalence]", without_finding: int, label_policy: str) -> list[str]:
    """A header, one line per finding, and the number of images without any finding."""
    width = max(10, *(len(f.finding) for f in findings)) if findings else 10
    lines = [f"{'finding':<{width}}  present    share   train     val    test  unknown  ({label_policy})"]
    for f in findings:
        known = max(1, f.present + f.absent)
        parts = "".join(f"{f.present_by_part[part]:>8,}" for part in ("train", "val", "test"))
        lines.append(f"{f.finding:<{width}} {f.present:>8,} {f.present / known:>8.1%}{parts} {f.unknown:>8,}")
    return [*lines, f"{'none':<{width}} {without_finding:>8,}"]


def counts(values: dict[str, int]) -> str:
    """``train 70, val 10, test 20``."""
    return ", ".join(f"{name} {value:,}" for name, value in values.items())
