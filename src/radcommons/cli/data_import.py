"""``radcommons data import``: one command a source layout."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from radcommons.cli.label_table import counts, label_table
from radcommons.cli.output import AsJson, Cluster, bar, show

if TYPE_CHECKING:
    from radcommons.data.dry_run import ImportPlan
    from radcommons.data.listing import Listing
    from radcommons.records import StoreRecord
    from radcommons.workers import Workers

app = typer.Typer(help="Import real radiographs with their labels.", no_args_is_help=True)

SOURCES = typer.Argument(metavar="SOURCE...", help="Folders to read.")
OUT = typer.Option(..., "--out", help="Folder of the store; an unfinished import there is continued.")
RESOLUTION = typer.Option(256, "--resolution", help="Side of the largest stored images, pixels: 4, 8, ... 1024.")
FIT = typer.Option("crop", "--fit", help="How a film becomes square: crop or pad; its aspect is kept.")
FINDINGS = typer.Option(None, "--findings", help="Findings to keep, in this order, separated by commas.")
UNCERTAIN = typer.Option("paper", "--uncertain", help="What -1 becomes: u-ones, u-zeros, u-ignore (unknown) or paper.")
UNCERTAIN_IGNORED = typer.Option("u-ignore", "--uncertain", help=UNCERTAIN.help)
SPLIT = typer.Option(
    [],
    "--split",
    help="Official list of images, e.g. test_list.txt; may be repeated. By default a hash of the patient.",
)
SALT = typer.Option(None, "--split-salt", help="Another salt gives another split.")
KEY = typer.Option(None, "--key", help="Secret file of the pseudonyms; made in the store by default.")
NAME = typer.Option(None, "--name", help="The site's name; the store folder's by default.")
WORKERS = typer.Option(None, "--workers", help="Threads (PNG, JPEG) or processes (DICOM); all cores by default.")
DRY_RUN = typer.Option(False, "--dry-run", help="List, split and count; open no image and write nothing.")
IMAGE_COLUMN = typer.Option(None, "--image-column", help="Column of the image files, where the usual names do not fit.")
PATIENT_COLUMN = typer.Option(None, "--patient-column", help="Column of the patients.")
LABEL_COLUMN = typer.Option(None, "--label-column", help="Column of findings joined by '|'.")


@app.command(epilog="radcommons data import nih ChestX-ray14 --out stores/nih --split test_list.txt")
def nih(
    sources: list[Path] = SOURCES,
    out: Path = OUT,
    resolution: int = RESOLUTION,
    fit: str = FIT,
    findings: str | None = FINDINGS,
    split: list[Path] = SPLIT,
    split_salt: str | None = SALT,
    key: Path | None = KEY,
    name: str | None = NAME,
    workers: int | None = WORKERS,
    cluster: str | None = Cluster,
    dry_run: bool = DRY_RUN,
    as_json: bool = AsJson,
) -> None:
    """NIH ChestX-ray14: Data_Entry_2017*.csv and images*/; a partial or re-encoded download works."""
    from radcommons.data.sources import list_nih

    listing = list_nih(sources, findings=_names(findings))
    _ingest(listing, out, resolution, fit, split, split_salt, key, name, workers, cluster, dry_run, as_json)


@app.command(epilog="radcommons data import chexpert CheXpert-v1.0-small --out stores/chexpert --uncertain paper")
def chexpert(
    sources: list[Path] = SOURCES,
    out: Path = OUT,
    resolution: int = RESOLUTION,
    fit: str = FIT,
    uncertain: str = UNCERTAIN,
    findings: str | None = FINDINGS,
    split: list[Path] = SPLIT,
    split_salt: str | None = SALT,
    key: Path | None = KEY,
    name: str | None = NAME,
    workers: int | None = WORKERS,
    cluster: str | None = Cluster,
    dry_run: bool = DRY_RUN,
    as_json: bool = AsJson,
) -> None:
    """CheXpert: train.csv, valid.csv and their frontal films."""
    from radcommons.data.sources import list_chexpert

    listing = list_chexpert(sources, findings=_names(findings), uncertain=cast(Any, uncertain))
    _ingest(listing, out, resolution, fit, split, split_salt, key, name, workers, cluster, dry_run, as_json)


@app.command(epilog="radcommons data import rsna rsna-pneumonia --out stores/rsna")
def rsna(
    sources: list[Path] = SOURCES,
    out: Path = OUT,
    resolution: int = RESOLUTION,
    fit: str = FIT,
    findings: str | None = FINDINGS,
    split: list[Path] = SPLIT,
    split_salt: str | None = SALT,
    key: Path | None = KEY,
    name: str | None = NAME,
    workers: int | None = WORKERS,
    cluster: str | None = Cluster,
    dry_run: bool = DRY_RUN,
    as_json: bool = AsJson,
) -> None:
    """RSNA pneumonia challenge: stage_2_* tables and DICOM. Its films come from the NIH set."""
    from radcommons.data.sources import list_rsna

    listing = list_rsna(sources, findings=_names(findings))
    _ingest(listing, out, resolution, fit, split, split_salt, key, name, workers, cluster, dry_run, as_json)


@app.command(epilog="radcommons data import dicom /pacs/export --labels labels.csv --out stores/own")
def dicom(
    sources: list[Path] = SOURCES,
    labels: Path = typer.Option(..., "--labels", help="Table with a row a file: SOPInstanceUID or path, findings."),
    out: Path = OUT,
    resolution: int = RESOLUTION,
    fit: str = FIT,
    uncertain: str = UNCERTAIN_IGNORED,
    findings: str | None = FINDINGS,
    image_column: str | None = IMAGE_COLUMN,
    patient_column: str | None = PATIENT_COLUMN,
    label_column: str | None = LABEL_COLUMN,
    split: list[Path] = SPLIT,
    split_salt: str | None = SALT,
    key: Path | None = KEY,
    name: str | None = NAME,
    workers: int | None = WORKERS,
    cluster: str | None = Cluster,
    dry_run: bool = DRY_RUN,
    as_json: bool = AsJson,
) -> None:
    """A folder tree of DICOM files with a label table."""
    from radcommons.data.sources import list_dicom

    listing = list_dicom(
        sources,
        labels,
        findings=_names(findings),
        uncertain=cast(Any, uncertain),
        workers=worker_count(workers),
        image_column=image_column,
        patient_column=patient_column,
        label_column=label_column,
    )
    _ingest(listing, out, resolution, fit, split, split_salt, key, name, workers, cluster, dry_run, as_json)


@app.command(epilog="radcommons data import table films/labels.csv --out stores/own --findings Pneumonia,Effusion")
def table(
    sources: list[Path] = typer.Argument(metavar="SOURCE...", help="A CSV file, or a folder with labels.csv."),
    images: Path | None = typer.Option(None, "--images", help="Folder that the image column counts from."),
    out: Path = OUT,
    resolution: int = RESOLUTION,
    fit: str = FIT,
    uncertain: str = UNCERTAIN_IGNORED,
    findings: str | None = FINDINGS,
    image_column: str | None = IMAGE_COLUMN,
    patient_column: str | None = PATIENT_COLUMN,
    label_column: str | None = LABEL_COLUMN,
    split: list[Path] = SPLIT,
    split_salt: str | None = SALT,
    key: Path | None = KEY,
    name: str | None = NAME,
    workers: int | None = WORKERS,
    cluster: str | None = Cluster,
    dry_run: bool = DRY_RUN,
    as_json: bool = AsJson,
) -> None:
    """Any CSV with columns for image, patient and findings, and its PNG, JPEG or DICOM files."""
    from radcommons.data.sources import list_table

    listing = list_table(
        sources,
        findings=_names(findings),
        uncertain=cast(Any, uncertain),
        images=images,
        image_column=image_column,
        patient_column=patient_column,
        label_column=label_column,
    )
    _ingest(listing, out, resolution, fit, split, split_salt, key, name, workers, cluster, dry_run, as_json)


def _ingest(
    listing: "Listing",
    out: Path,
    resolution: int,
    fit: str,
    split: list[Path],
    split_salt: str | None,
    key: Path | None,
    name: str | None,
    workers: int | None,
    cluster: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    from radcommons.data.dry_run import plan_import
    from radcommons.data.ingest import SPLIT_SALT, ingest
    from radcommons.data.memory import keep_freed_memory
    from radcommons.data.split import read_split_files
    from radcommons.errors import SettingRefused

    if fit not in ("crop", "pad"):
        raise SettingRefused(f"--fit is '{fit}'; it must be crop or pad")
    lists = read_split_files(split) if split else None
    salt = split_salt or SPLIT_SALT
    if dry_run:
        worker_count(workers)  # refuses a wrong number, as the import would
        show_plan(
            out,
            plan_import(listing, out, resolution=resolution, split_salt=salt, split_lists=lists, key_file=key),
            as_json,
        )
        return
    keep_freed_memory()
    with work_on(workers, cluster) as team:
        record = ingest(
            listing,
            out,
            name=name or out.resolve().name,
            resolution=resolution,
            fit=cast(Any, fit),
            split_salt=salt,
            split_lists=lists,
            key_file=key,
            workers=team,
            track=bar,
        )
    show_record(out, record, as_json)


def worker_count(asked: int | None) -> int:
    """Workers to use: as asked, else one a core this process may run on."""
    from radcommons.errors import SettingRefused

    if asked is not None and asked < 1:
        raise SettingRefused(f"--workers is {asked}; it must be 1 or more")
    available: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return asked or (len(available(0)) if available else os.cpu_count() or 1)


@contextmanager
def work_on(workers: int | None, cluster: str | None) -> "Iterator[Workers]":
    """Workers here, or the cluster, open as long as the context."""
    from radcommons.cluster.opening import open_cluster

    if cluster is None:
        yield worker_count(workers)
        return
    with open_cluster(cluster) as opened:
        yield opened


def show_record(out: Path, record: "StoreRecord", as_json: bool) -> None:
    """Print what an import made."""
    parts = ", ".join(f"{part} {count:,}" for part, count in record.split.items())
    refused = f", {record.rejected:,} refused (see {out / 'rejected.csv'})" if record.rejected else ""
    absent = f", {record.absent:,} rows of the table have no image here" if record.absent else ""
    show(
        {"store": str(out), **record.model_dump(mode="json")},
        f"{out}: {record.images:,} images of {record.patients:,} patients ({parts}), "
        f"up to {record.resolutions[-1]} x {record.resolutions[-1]} pixels{refused}{absent}",
        as_json,
    )


def show_plan(out: Path, plan: "ImportPlan", as_json: bool) -> None:
    """Print what an import would make."""
    refused = ", ".join(f"{reason} {count:,}" for reason, count in plan.refused.items())
    lines = [
        f"{out}: an import would read {plan.images:,} images of {plan.patients:,} patients; nothing was written",
        f"not taken      {sum(plan.refused.values()):,} refused, {plan.absent:,} rows without an image",
        *([f"refused        {refused}"] if refused else []),
        f"split          images {counts(plan.images_by_part)}; patients {counts(plan.patients_by_part)}",
        f"views          {counts(plan.views)}",
        f"sexes          {counts(plan.sexes)}",
        f"disk           {plan.bytes_needed / 2**30:,.1f} GiB needed for images up to {plan.resolution} x "
        f"{plan.resolution} pixels, {plan.bytes_free / 2**30:,.1f} GiB free",
        "",
        *label_table(plan.findings, plan.without_finding, plan.label_policy),
        "",
        "No image was opened: an import refuses those that cannot be read.",
    ]
    show({"store": str(out), **plan.model_dump(mode="json")}, "\n".join(lines), as_json)


def _names(text: str | None) -> list[str] | None:
    return [name.strip() for name in text.split(",") if name.strip()] if text else None
