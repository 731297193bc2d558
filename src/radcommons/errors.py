"""Every error that RadCommons raises on purpose, named for what is wrong; the message is one line with the next step.

`BadInput` is what the user corrects before the same command runs again; `GateRefused` is what a policy refuses.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class RadCommonsError(Exception):
    """Base of all errors a user can act on; the message is one line."""

    exit_code = 2


class BadInput(RadCommonsError):
    """An input of the command is wrong; nothing was lost. Correct it, then run the same command again."""


class SettingRefused(BadInput):
    """A key or value of a TOML file, of ``--set`` or of an option is unknown or out of range."""


class PathMissing(BadInput):
    """A file or folder that must exist is missing."""


class PathInUse(BadInput):
    """An output folder already holds something else."""


class TableRefused(BadInput):
    """A label table lacks a column or holds a value that cannot be read."""


class FindingUnknown(BadInput):
    """A finding is not in the vocabulary, or not among the generator's."""


class ImageRefused(BadInput):
    """One image cannot be used; the message is the reason and names no file. An import lists it in rejected.csv."""


class NothingToImport(BadInput):
    """An import found no usable image: all were refused or absent."""


class StoreRefused(BadInput):
    """A folder is not a store, or is of another version, unfinished or damaged."""


class SetRefused(BadInput):
    """A folder is not a synthetic set, or is of another version, unfinished or damaged."""


class GeneratorRefused(BadInput):
    """A folder is not a run or a generator package, or is damaged."""


class PackageRefused(BadInput):
    """A folder is not a generator package, is damaged, or is not what was signed."""


class AnotherKey(PackageRefused):
    """A package is signed with another key than the one that was named."""


class ExtraMissing(BadInput):
    """An optional part of the installation is missing."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} the extra '{extra}'; run: pip install 'radcommons[{extra}]'")


class HubRefused(BadInput):
    """A hub cannot be reached, or does not do what it was asked for."""


class StudyRefused(BadInput):
    """A folder is not a reader study, or is damaged."""


class KeyRefused(BadInput):
    """A key cannot be used to sign or to verify."""


class ClassifierRefused(BadInput):
    """A folder is not a classifier's run, or is damaged, or knows other findings."""


class CheckpointDamaged(BadInput):
    """Neither checkpoint of a run can be read."""


class TooFewImages(BadInput):
    """A computation needs more images than it was given."""


class WeightsUnavailable(BadInput):
    """Published weights, or the package that has them, are not installed."""


class ReferenceRefused(BadInput):
    """A file is not one of reference statistics, or is damaged."""


class ExtractorsDiffer(BadInput):
    """Scores or features of two different extractors cannot be compared."""


class ClusterRefused(BadInput):
    """A cluster cannot be used: its address, the extra for it, the connection, its workers or their versions."""


class DiskFull(BadInput):
    """The disk has too little room; free some space, then run the same command again."""


class WorkerKilled(RadCommonsError):
    """A process of a parallel job was killed, or the cluster is lost; run the same command again."""


class FederationFailed(RadCommonsError):
    """A federated training did not end well, at the server or at a client; the same command goes on."""


class TrainingDiverged(RadCommonsError):
    """Losses became infinite or NaN; the message names the last good checkpoint."""


class GateRefused(RadCommonsError):
    """A policy refused the deposit or the action."""

    exit_code = 3


class PatientsSeen(GateRefused):
    """A generator was trained on patients of the test; test on others."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, ignoring case; None if none is close."""
    by_folded = {k.casefold(): k for k in known}
    close = get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[close[0]] if close else None


def nearest_hint(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest name, or the whole list."""
    names = list(known)
    close = nearest(name, names)
    return f"the nearest is '{close}'" if close else f"known are {', '.join(names)}"
