"""Write the package of an audited generator: its weights and records, card, pictures and signature."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from radcommons.errors import GateRefused, PackageRefused, PathInUse, PathMissing, SettingRefused
from radcommons.files import whole_folder
from radcommons.folders import alone_in
from radcommons.models.generator import Generator
from radcommons.models.generator_files import RUN_SUBFOLDER, load_patients
from radcommons.packages import signatures
from radcommons.packages.card import CardWords, card
from radcommons.packages.contents import (
    AUDIT,
    CARD,
    CONFIG,
    EXPLANATION,
    FEDERATION,
    FINDINGS,
    LICENSE,
    PATIENTS,
    PICTURE,
    SAMPLES,
    STUDY,
    WEIGHTS,
    Package,
    is_text,
    open_package,
    pictures_named,
)
from radcommons.pictures import SYNTHETIC, contact_sheet
from radcommons.policy.judge import judge
from radcommons.policy.settings import Policy
from radcommons.progress import Track, silent
from radcommons.reader_study import read_study
from radcommons.records import AuditReport, Explanation
from radcommons.settings import preset_path

COLUMNS = 8  # of a picture of samples
SHOWN_SIDE = 128  # pixels of a film on it, at least
PATHS_IN_SETTINGS = ("extractor_weights",)  # of an audit: the machine's folders are nobody's business


@dataclass(frozen=True, slots=True)
class Contents:
    """What goes into a package beside the generator.

    Attributes:
        license_file: the text of the license.
        explanation: a folder of 'radcommons explain'; its pictures go along.
        study: record of 'radcommons study analyse'; what it says of groups of readers goes along.
        patients: whether the list of training patients goes along.
        allow_failed: whether an audit whose policy is not met is published all the same; the card says so.
    """

    words: CardWords
    license_file: Path
    explanation: Path | None = None
    study: Path | None = None
    patients: bool = False
    allow_failed: bool = False


def write_package(
    run: Path,
    audit: Path,
    out: Path,
    contents: Contents,
    *,
    private_key: Path,
    rules: Policy,
    track: Track = silent,
) -> Package:
    """Write and sign a package; nothing is left of one that is refused.

    Args:
        run: a training run, or the folder of its generator.
        audit: folder of its audit.
        rules: of the policy by which the audit is judged here, whatever its own policy said.
    Raises:
        GateRefused: the audit does not meet the rules.
        PathMissing, PathInUse, SettingRefused, GeneratorRefused, KeyRefused, PackageRefused (a file is too large).
    """
    signatures.require_private(private_key)
    generator = Generator.load(run, device="cpu")
    report = audited(audit, generator, rules)
    if report.judgement.broken and not contents.allow_failed:
        raise GateRefused(
            f"{audit}: the policy is not met: {', '.join(report.judgement.broken)}; train again, or pass "
            "--allow-failed, and the card will say so"
        )
    if not contents.license_file.is_file():
        raise PathMissing(f"{contents.license_file} is not a file; give the text of the license")
    if not is_text(contents.license_file):
        raise SettingRefused(f"{contents.license_file} is no text in UTF-8; give the text of the license")
    patients = load_patients(run) if contents.patients else None
    if contents.patients and patients is None:
        raise PathMissing(f"{run} has no list of patients ({PATIENTS}); leave out --patients")
    explanation = None if contents.explanation is None else explained(contents.explanation, generator)
    study = None if contents.study is None else read_study(contents.study, digest=generator.digest, name=generator.name)
    text = card(
        contents.words,
        generator.record,
        generator.findings_record,
        report,
        explanation=explanation,
        study=study,
        patients=patients is not None,
        own_rules=rules != shipped_rules(),
    )
    with _new_folder(out, apart_from=(run, audit)) as new:
        folder = run / RUN_SUBFOLDER if (run / RUN_SUBFOLDER / CONFIG).is_file() else run
        shutil.copyfile(folder / WEIGHTS, new / WEIGHTS)
        shutil.copyfile(contents.license_file, new / LICENSE)
        records = {
            CONFIG: generator.record,
            FINDINGS: generator.findings_record,
            AUDIT: report,
            PATIENTS: patients,
            EXPLANATION: explanation,
            STUDY: study,
            FEDERATION: generator.federation,
        }
        for name, record in records.items():
            if record is not None:
                (new / name).write_text(record.to_json(), encoding="utf-8")
        (new / CARD).write_text(text, encoding="utf-8")
        if contents.explanation is not None and explanation is not None:
            for name in pictures_named(explanation):
                (new / name).parent.mkdir(exist_ok=True)
                shutil.copyfile(contents.explanation / name, new / name)
        _draw_samples(generator, new / SAMPLES, track)
        signatures.sign(new, private_key)
        try:
            package = open_package(new)  # a folder that anybody would refuse is not left
        except PackageRefused as error:
            raise PackageRefused(str(error).replace(str(new), str(out))) from None
    return replace(package, folder=out)


def shipped_rules() -> Policy:
    """The policy that RadCommons ships."""
    return Policy.load(preset_path("audit-policy", "default"))


def audited(folder: Path, generator: Generator, rules: Policy) -> AuditReport:
    """The audit of just these weights, judged by `rules`, without the paths of the machine that made it.

    Raises:
        PathMissing: the folder has no finished audit.
        SettingRefused: it is damaged, or is about other weights or another training.
    """
    path = folder / AUDIT
    if not path.is_file():
        raise PathMissing(f"{path} does not exist; name the folder of a finished 'radcommons audit'")
    report = AuditReport.read(path, refused=SettingRefused, remedy="audit the generator again")
    if report.kind != "generator" or report.digest != generator.digest:
        raise SettingRefused(
            f"{path} audits other weights ({report.subject}), not those of {generator.name}; audit {generator.name}"
        )
    if report.federation != generator.federation:
        raise SettingRefused(f"{path} and {FEDERATION} tell of different trainings; audit {generator.name} again")
    settings = {**without_paths(report.settings), "policy": rules.model_dump(mode="json")}
    return report.model_copy(update={"judgement": judge(report, rules), "settings": settings})


def without_paths(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of an audit with file names in place of paths."""
    return {
        key: PureWindowsPath(value).name if key in PATHS_IN_SETTINGS and isinstance(value, str) else value
        for key, value in settings.items()
    }


@contextmanager
def _new_folder(out: Path, *, apart_from: tuple[Path, ...]) -> Iterator[Path]:
    """A folder to fill, which becomes `out` when it is whole and on the disk; a kill leaves no `out`."""
    place = out.resolve()
    for folder in apart_from:
        if place.is_relative_to(folder.resolve()):
            raise PathInUse(f"{out} lies in {folder}, which stays in the hospital; choose another --out")
    unfinished = place.parent / f"{place.name}.partial"
    try:
        with alone_in(unfinished, private=False):
            if place.is_file() or (place.is_dir() and any(place.iterdir())):
                raise PathInUse(f"{out} already holds something; choose another --out")
            with whole_folder(unfinished / "package") as new:
                yield new
            (unfinished / "package").replace(place)
    finally:
        with suppress(OSError):  # it is there if a kill left it before, and not empty if another process has begun
            unfinished.rmdir()


def explained(folder: Path, generator: Generator) -> Explanation:
    """The record of an explanation of just these weights; it names pictures only, and they are all there.

    Videos, arrays and tables do not go along, nor anything else that lies in the folder.

    Raises:
        PathMissing: the folder has no explanation.
        SettingRefused: it is damaged, or is about other weights.
    """
    path = folder / EXPLANATION
    if not path.is_file():
        raise PathMissing(f"{path} does not exist; name a folder of 'radcommons explain'")
    found = Explanation.read(path, refused=SettingRefused, remedy="explain the generator again")
    if found.generator_sha256 != generator.digest:
        raise SettingRefused(f"{path} explains other weights ({found.generator}); explain {generator.name}")
    for name in pictures_named(found):
        if not PICTURE.fullmatch(name) or not (folder / name).is_file() or (folder / name).is_symlink():
            raise SettingRefused(f"{path} names {name!r}, which is missing; explain the generator again")
    matrix = found.correlation
    return found.model_copy(
        update={
            "morphs": tuple(one.model_copy(update={"video": None, "frames": None}) for one in found.morphs),
            "maps": tuple(one.model_copy(update={"numbers": None}) for one in found.maps),
            "correlation": matrix and matrix.model_copy(update={"table": None, "scores": None}),
        }
    )


def _draw_samples(generator: Generator, folder: Path, track: Track) -> None:
    """`overview.png`, a row for each finding and one without, and for each of these a picture of two rows."""
    folder.mkdir()
    side = max(SHOWN_SIDE, generator.resolution)
    names = ["No finding", *generator.findings]
    rows: list[np.ndarray] = []
    with track("Drawing samples", total=2 * COLUMNS * len(names)) as advance:
        for asked in ({}, *({finding: 1.0} for finding in generator.findings)):
            rows.append(generator.generate(2 * COLUMNS, findings=asked, seed=0).images)
            advance(2 * COLUMNS)
    shown = [name.replace("_", " ") for name in names]
    overview = contact_sheet([images[:COLUMNS] for images in rows], shown, side=side, title=SYNTHETIC)
    overview.save(folder / "overview.png", optimize=True)
    for name, images in zip(names, rows, strict=True):
        sheet = contact_sheet([images[:COLUMNS], images[COLUMNS:]], side=side, title=SYNTHETIC)
        sheet.save(folder / f"{re.sub(r'[^A-Za-z0-9+-]', '_', name)}.png", optimize=True)
