"""What a generator package holds: a closed list of files, each of a known kind and size. Data, never code."""

import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from PIL import Image

from radcommons.errors import PackageRefused, PathMissing
from radcommons.records import (
    AuditReport,
    Explanation,
    FederationRecord,
    FindingsRecord,
    GeneratorRecord,
    PatientsRecord,
    PublishedStudy,
    Record,
    sha256_file,
)

CARD, LICENSE, SIGNATURE = "README.md", "LICENSE", "model.sig"
CONFIG, FINDINGS, PATIENTS, AUDIT, EXPLANATION, STUDY = (
    "config.json",
    "findings.json",
    "patients.json",
    "audit.json",
    "explain.json",
    "study.json",
)
FEDERATION = "federation.json"
WEIGHTS = "generator.safetensors"
MIB = 2**20
LARGEST = {  # bytes
    CARD: MIB,
    LICENSE: MIB,
    SIGNATURE: MIB,
    CONFIG: MIB,
    FINDINGS: 16 * MIB,
    PATIENTS: 64 * MIB,
    AUDIT: 16 * MIB,
    EXPLANATION: 16 * MIB,
    STUDY: MIB,
    FEDERATION: MIB,
    WEIGHTS: 4096 * MIB,
}
NEEDED = (CARD, LICENSE, SIGNATURE, CONFIG, FINDINGS, AUDIT, WEIGHTS)
SAMPLES = "samples"
PICTURE_FOLDERS = (SAMPLES, "morph", "map", "correlation")  # all that they show is synthetic
PICTURE = re.compile(rf"(?:{'|'.join(PICTURE_FOLDERS)})/[A-Za-z0-9][\w+-]{{0,199}}\.(?:png|gif)", re.ASCII)
LARGEST_PICTURE = 32 * MIB
MOST_PICTURES = 200
MOST_PIXELS = 64_000_000  # of a picture, all frames of an animation together
TOO_LARGE = f"has more than {MOST_PIXELS:,} pixels"
MOST_FAULTS = 5  # in a message
REMEDY = "ask the site for it again"
R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Package:
    """A package whose files are of the closed list and belong together. Its signature has not been looked at."""

    folder: Path
    config: GeneratorRecord
    findings: FindingsRecord
    audit: AuditReport
    patients: PatientsRecord | None
    explanation: Explanation | None
    study: PublishedStudy | None
    federation: FederationRecord | None
    pictures: tuple[str, ...]


def open_package(folder: Path) -> Package:
    """Read the records of a package and check every file of it, but load no weights.

    Raises:
        PathMissing: there is no such folder.
        PackageRefused: with everything that is wrong with its names and sizes, or the first record that is.
    """
    require_contents(folder)
    config, findings = _read(folder, CONFIG, GeneratorRecord), _read(folder, FINDINGS, FindingsRecord)
    audit = _read(folder, AUDIT, AuditReport)
    digest = sha256_file(folder / WEIGHTS)
    explanation = _read(folder, EXPLANATION, Explanation) if (folder / EXPLANATION).exists() else None
    study = _read(folder, STUDY, PublishedStudy) if (folder / STUDY).exists() else None
    for file, found in (
        (CONFIG, config.weights_sha256),
        (AUDIT, audit.digest),
        (EXPLANATION, explanation.generator_sha256 if explanation else digest),
    ):
        if found != digest:
            raise PackageRefused(f"{folder}: {file} is about other weights than {WEIGHTS}; {REMEDY}")
    if study is not None and not study.images_of(digest):
        raise PackageRefused(f"{folder}: {STUDY} is about a study that showed no image of {WEIGHTS}; {REMEDY}")
    if audit.kind != "generator" or audit.findings != findings.findings or audit.resolution != config.resolution:
        raise PackageRefused(f"{folder}: {AUDIT} is about another generator than {CONFIG}; {REMEDY}")
    federation = _read(folder, FEDERATION, FederationRecord) if (folder / FEDERATION).exists() else None
    if audit.federation != federation:
        raise PackageRefused(f"{folder}: {AUDIT} and {FEDERATION} tell of different trainings; {REMEDY}")
    pictures = tuple(name for name in names_in(folder) if PICTURE.fullmatch(name))
    named = set(pictures_named(explanation) if explanation else ())
    if faults := named.symmetric_difference(name for name in pictures if not name.startswith(f"{SAMPLES}/")):
        raise PackageRefused(
            f"{folder}: {EXPLANATION} and the pictures do not belong together: {min(faults)!r} is only in one; {REMEDY}"
        )
    return Package(
        folder=folder,
        config=config,
        findings=findings,
        audit=audit,
        patients=_read(folder, PATIENTS, PatientsRecord) if (folder / PATIENTS).exists() else None,
        explanation=explanation,
        study=study,
        federation=federation,
        pictures=pictures,
    )


def require_contents(folder: Path) -> None:
    """Raise PathMissing or PackageRefused unless a folder holds the files of a package and nothing else."""
    if not folder.is_dir():
        raise PathMissing(f"{folder} is not a folder; name a generator package")
    if faults := faults_of(folder):
        more = f"; and {len(faults) - MOST_FAULTS:,} more" if len(faults) > MOST_FAULTS else ""
        raise PackageRefused(f"{folder} is not a generator package: {'; '.join(faults[:MOST_FAULTS])}{more}")


def faults_of(folder: Path) -> list[str]:
    """Everything that is wrong with the names, kinds and sizes of a folder's files; no record is read."""
    names = names_in(folder)
    faults = [f"{name} is missing" for name in NEEDED if name not in names]
    pictures = 0
    for name in names:
        path = folder / name
        if path.is_symlink() or not path.is_file():
            faults.append(f"{name!r} is no ordinary file")
            continue
        is_picture = PICTURE.fullmatch(name) is not None
        pictures += is_picture
        most = LARGEST_PICTURE if is_picture else LARGEST.get(name)
        if most is None:
            faults.append(f"{name!r} does not belong in a package")
        elif (size := path.stat().st_size) > most:
            faults.append(f"{name} has {size:,} bytes, at most {most:,} are allowed")
        elif is_picture and (fault := picture_fault(path)):
            faults.append(f"{name} {fault}")
        elif name in (CARD, LICENSE) and not is_text(path):
            faults.append(f"{name} is no text in UTF-8")
    if pictures > MOST_PICTURES:
        faults.append(f"{pictures} pictures, at most {MOST_PICTURES} are allowed")
    return faults


def names_in(folder: Path) -> list[str]:
    """Paths of all but folders in a folder, relative, with /; symbolic links count and are not followed."""
    found = []
    for at, folders, files in os.walk(folder):
        links = [name for name in folders if (Path(at) / name).is_symlink()]
        found += [(Path(at) / name).relative_to(folder).as_posix() for name in (*files, *links)]
    return sorted(found)


def pictures_named(explanation: Explanation) -> list[str]:
    """The pictures that the record of an explanation names, relative to it."""
    matrix = explanation.correlation
    return [
        *(name for one in explanation.morphs for name in (one.strip, one.animation)),
        *(one.picture for one in explanation.maps if one.picture is not None),
        *((matrix.picture, matrix.scatter) if matrix else ()),
    ]


def is_text(path: Path) -> bool:
    """Whether a file is text in UTF-8."""
    try:
        return "\0" not in path.read_text(encoding="utf-8")
    except ValueError:
        return False


def picture_fault(path: Path) -> str | None:
    """What is wrong with a PNG or GIF, by its headers alone; None if nothing is."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=("PNG", "GIF")) as picture:
            pixels = picture.width * picture.height * getattr(picture, "n_frames", 1)
            kind = picture.format
    except Image.DecompressionBombError:
        return TOO_LARGE
    except (OSError, ValueError, SyntaxError):
        return "is no picture"
    if pixels > MOST_PIXELS:
        return TOO_LARGE
    return None if kind == path.suffix[1:].upper() else "is a picture of another kind than its name says"


def _read(folder: Path, name: str, kind: type[R]) -> R:
    return kind.read(folder / name, refused=PackageRefused, remedy=REMEDY, other_version="update radcommons")
