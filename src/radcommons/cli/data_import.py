"""``radcommons data import``: one command per source layout."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from radcommons.cli.label_table import counts, label_table
from radcommons.cli.option_groups import with_option_groups
from radcommons.cli.output import AsJson, Cluster, bar, show

if TYPE_CHECKING:
    from radcommons.data.dry_run import ImportPlan
    from radcommons.data.listing import Listing
    from radcommons.data.sources.tables import Columns
    from radcommons.data.views import Declared
    from radcommons.records import StoreRecord
    from radcommons.workers import Workers

TABLE_EPILOG = """
radcommons data import table films/labels.csv --out stores/own --findings Pneumonia,Effusion --dry-run

radcommons data import table export.csv --images films --out stores/own --image-column scan --patient-column MRN
"""
MOST_REASONS = 12  # reasons of refusal to print, one per line

app = typer.Typer(help="Import real radiographs with their labels.", no_args_is_help=True)

Sources = Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="Folders to read.")]
Uncertain = Annotated[
    Literal["paper", "u-ones", "u-zeros", "u-ignore"],
    typer.Option(
        "--uncertain",
        help="What an uncertain label (-1 in the column of a finding) becomes: u-ones = 1, u-zeros = 0, "
        "u-ignore = unknown, paper = 1 for the five findings of the paper, otherwise 0, and blank = 0.",
    ),
]


@dataclass(frozen=True)
class ImportOptions:
    """The options of every import command."""

    out: Path = typer.Option(
        ..., "--out", help="Folder of the store, e.g. stores/own. The same command continues an unfinished import."
    )
    resolution: int = typer.Option(
        256, "--resolution", help="Side of the largest images, pixels: 4, 8, ... 1024. Give the largest to train at."
    )
    fit: Literal["crop", "pad"] = typer.Option(
        "crop", "--fit", help="How a film becomes square: crop cuts the longer side, pad adds black to the shorter."
    )
    findings: str | None = typer.Option(
        None,
        "--findings",
        help="Findings to keep, in this order, e.g. Pneumonia,Effusion. Give it if the labels also have names that "
        "are not findings. Default: the source's findings.",
    )
    split: list[Path] = typer.Option(
        [],
        "--split",
        help="A list of the images of one part, e.g. test_list.txt, if the split is given; may be repeated. "
        "Default: 70% of the patients in training, 10% in validation, 20% in test, by a hash.",
    )
    split_salt: str | None = typer.Option(
        None, "--split-salt", help="Any text, e.g. second, for another split by the hash than the default one."
    )
    key: Path | None = typer.Option(
        None,
        "--key",
        help="File of the secret key of the pseudonyms, e.g. secrets/pseudonym.key; made if there is none. Give the "
        "same file to several imports of one hospital, so that a patient has one pseudonym. Default: a new key in the "
        "store.",
    )
    name: str | None = typer.Option(
        None, "--name", help="The site's name, e.g. site-a; published with its generators. Default: the folder's name."
    )
    workers: int | None = typer.Option(
        None, "--workers", help="Films to read at the same time, e.g. 4 on a shared machine. Default: one per core."
    )
    cluster: str | None = Cluster
    views: list[str] = typer.Option(
        [], "--views", help="Your words for frontal views, e.g. SPEZIAL,UNO, if these are refused; 'any' = every word."
    )
    modalities: list[str] = typer.Option(
        [], "--modalities", help="Modalities to take besides CR, DX and RG, e.g. OT if these are scanned films."
    )
    body_parts: list[str] = typer.Option(
        [], "--body-parts", help="Your words for the chest, e.g. RIBS, if films are refused for them; as with --views."
    )
    synthetic: bool = typer.Option(
        False, "--synthetic", help="Take DICOM images marked as synthetic, such as those of 'radcommons generate'."
    )
    most_coloured: float = typer.Option(
        1.0, "--most-coloured", help="Most coloured pixels in a film, percent, e.g. 5 if films with marks are refused."
    )
    dry_run: bool = typer.Option(
        False, "--dry-run", help="List, split and count only; open no image, write nothing. Do this first."
    )
    as_json: bool = AsJson

    @property
    def finding_names(self) -> list[str] | None:
        """The findings to keep; None = those of the source."""
        return [name.strip() for name in self.findings.split(",") if name.strip()] if self.findings else None

    def declared(self) -> "Declared":
        """The words that the user declares, for the readers."""
        from radcommons.data.views import Declared

        return Declared.of(
            views=self.views, modalities=self.modalities, body_parts=self.body_parts, synthetic=self.synthetic
        )


@dataclass(frozen=True)
class ColumnOptions:
    """The options that name the columns of your own table."""

    image: str | None = typer.Option(
        None, "--image-column", help="Column of the file names or paths, e.g. scan, if it is not called image or file."
    )
    patient: str | None = typer.Option(
        None,
        "--patient-column",
        help="Column that identifies the patient, e.g. MRN, if it is not called patient or subject. All films of a "
        "patient are in one part of the split; the store has pseudonyms only.",
    )
    labels: str | None = typer.Option(
        None,
        "--label-column",
        help="Column with all findings of a film in one cell, e.g. report_labels with Effusion|Mass. Leave it out if "
        "each finding has its own column.",
    )
    view: str | None = typer.Option(
        None, "--view-column", help="Column of the view, e.g. position with PA, AP or lateral; only frontal is taken."
    )
    sex: str | None = typer.Option(None, "--sex-column", help="Column of the sex, e.g. m_f with F or M.")
    age: str | None = typer.Option(
        None, "--age-column", help="Column of the age, e.g. age_at_exam with 57 (years), 057Y or 018M."
    )

    def columns(self) -> "Columns":
        """The columns, for the readers."""
        from radcommons.data.sources.tables import Columns

        return Columns(**asdict(self))


@app.command(epilog="radcommons data import nih ChestX-ray14 --out stores/nih --split test_list.txt")
@with_option_groups
def nih(sources: Sources, options: ImportOptions) -> None:
    """NIH ChestX-ray14: Data_Entry_2017*.csv and images*/; a partial or re-encoded download works."""
    from radcommons.data.sources import list_nih

    _ingest(list_nih(sources, findings=options.finding_names, declared=options.declared()), options)


@app.command(epilog="radcommons data import chexpert CheXpert-v1.0-small --out stores/chexpert --uncertain paper")
@with_option_groups
def chexpert(sources: Sources, options: ImportOptions, uncertain: Uncertain = "paper") -> None:
    """CheXpert: train.csv, valid.csv and their frontal films."""
    from radcommons.data.sources import list_chexpert

    listing = list_chexpert(sources, findings=options.finding_names, uncertain=uncertain, declared=options.declared())
    _ingest(listing, options)


@app.command(epilog="radcommons data import rsna rsna-pneumonia --out stores/rsna")
@with_option_groups
def rsna(sources: Sources, options: ImportOptions) -> None:
    """RSNA pneumonia challenge: stage_2_* tables and DICOM. Its films come from the NIH set."""
    from radcommons.data.sources import list_rsna

    _ingest(list_rsna(sources, findings=options.finding_names, declared=options.declared()), options)


@app.command(epilog="radcommons data import dicom /pacs/export --labels labels.csv --out stores/own")
@with_option_groups
def dicom(
    sources: Sources,
    label_table: Annotated[
        Path,
        typer.Option(
            "--labels",
            help="The label table, a CSV file with one row per DICOM file: SOPInstanceUID or path, and findings.",
        ),
    ],
    options: ImportOptions,
    columns: ColumnOptions,
    uncertain: Uncertain = "u-ignore",
) -> None:
    """A folder with DICOM files, at any depth, and a label table."""
    from radcommons.data.sources import list_dicom

    listing = list_dicom(
        sources,
        label_table,
        findings=options.finding_names,
        uncertain=uncertain,
        workers=worker_count(options.workers),
        columns=columns.columns(),
        declared=options.declared(),
    )
    _ingest(listing, options)


@app.command(epilog=TABLE_EPILOG)
@with_option_groups
def table(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE...",
            help="The table, e.g. films/labels.csv: a CSV file with one row per film; or a folder with labels.csv.",
        ),
    ],
    options: ImportOptions,
    columns: ColumnOptions,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            help="Folder in which the paths of the image column begin, e.g. /data/films. Default: the table's folder.",
        ),
    ] = None,
    uncertain: Uncertain = "u-ignore",
) -> None:
    """Any CSV with columns for image, patient and findings, and its PNG, JPEG or DICOM files.

    Columns called image, patient, view, age, sex and labels, or as a finding (Effusion), are found by their names;
    an option names any other. Findings are 1 or 0 in a column each, or Effusion|Mass in one column.
    """
    from radcommons.data.sources import list_table

    listing = list_table(
        sources,
        findings=options.finding_names,
        uncertain=uncertain,
        images=images,
        columns=columns.columns(),
        declared=options.declared(),
    )
    _ingest(listing, options)


def _ingest(listing: "Listing", options: ImportOptions) -> None:
    from radcommons.data.dry_run import plan_import
    from radcommons.data.ingest import SPLIT_SALT, ingest
    from radcommons.data.listing import patient_notes
    from radcommons.data.memory import keep_freed_memory
    from radcommons.data.split import read_split_files
    from radcommons.errors import SettingRefused

    out = options.out
    if not 0 <= options.most_coloured <= 100:
        raise SettingRefused(f"--most-coloured is {options.most_coloured:g}; it must be a percentage from 0 to 100")
    lists = read_split_files(options.split) if options.split else None
    salt = options.split_salt or SPLIT_SALT
    if options.dry_run:
        worker_count(options.workers)  # refuses a wrong number, as the import would
        plan = plan_import(
            listing, out, resolution=options.resolution, split_salt=salt, split_lists=lists, key_file=options.key
        )
        show_plan(out, plan, options.as_json)
        return
    keep_freed_memory()
    with work_on(options.workers, options.cluster) as team:
        record = ingest(
            listing,
            out,
            name=os.fsencode(options.name or out.resolve().name).decode(errors="replace"),
            resolution=options.resolution,
            fit=options.fit,
            most_coloured_percent=options.most_coloured,
            split_salt=salt,
            split_lists=lists,
            key_file=options.key,
            workers=team,
            track=bar,
        )
    show_record(
        out, record, options.as_json, notes=[*listing.notes, *patient_notes(c.patient for c in listing.candidates)]
    )


def worker_count(asked: int | None) -> int:
    """Workers to use: as requested, or one per core that this process may use."""
    from radcommons.errors import SettingRefused
    from radcommons.workers import available_cores

    if asked is not None and asked < 1:
        raise SettingRefused(f"--workers is {asked}; it must be 1 or more")
    return asked or available_cores()


@contextmanager
def work_on(workers: int | None, cluster: str | None) -> "Iterator[Workers]":
    """The number of local workers, or a connection to the cluster while the context is open."""
    if cluster is None:
        yield worker_count(workers)
        return
    from radcommons.cluster.dask_engine import open_cluster

    with open_cluster(cluster) as opened:
        yield opened


def show_record(out: Path, record: "StoreRecord", as_json: bool, notes: Sequence[str] = ()) -> None:
    """Print the result of an import."""
    from radcommons.data.summary import refused_by_reason

    reasons = refused_by_reason(out)
    refused = f", {record.rejected:,} refused (see {out / 'rejected.csv'})" if record.rejected else ""
    absent = f", {record.absent:,} rows of the table have no image" if record.absent else ""
    lines = [
        f"{out}: {record.images:,} images of {record.patients:,} patients ({counts(record.split)}), "
        f"up to {record.resolutions[-1]} x {record.resolutions[-1]} pixels{refused}{absent}",
        *_by_word(reasons, record.declared),
        *(f"note: {note}" for note in notes),
    ]
    result = {"store": str(out), **record.model_dump(mode="json"), "refused": reasons, "notes": list(notes)}
    show(result, "\n".join(lines), as_json)


def _by_word(reasons: dict[str, int], declared: dict[str, int]) -> list[str]:
    """Lines about reasons of refusal, and about words accepted because the user declared them."""
    shown = [f"{reason} ({count:,})" for reason, count in list(reasons.items())[:MOST_REASONS]]
    more = len(reasons) - len(shown)
    return [
        *(f"refused        {line}" for line in shown),
        *([f"refused        for {more:,} other reasons"] if more else []),
        *(f"declared       {word} ({count:,})" for word, count in declared.items()),
    ]


def show_plan(out: Path, plan: "ImportPlan", as_json: bool) -> None:
    """Print what an import would do."""
    lines = [
        f"{out}: an import would read {plan.images:,} images of {plan.patients:,} patients; nothing was written",
        f"not taken      {sum(plan.refused.values()):,} refused, {plan.absent:,} rows without an image",
        *_by_word(plan.refused, plan.declared),
        f"split          images {counts(plan.images_by_part)}; patients {counts(plan.patients_by_part)}",
        f"views          {counts(plan.views)}",
        f"sexes          {counts(plan.sexes)}",
        f"disk           {plan.bytes_needed / 2**30:,.1f} GiB needed for images up to {plan.resolution} x "
        f"{plan.resolution} pixels, {plan.bytes_free / 2**30:,.1f} GiB free",
        "",
        *label_table(plan.findings, plan.without_finding, plan.label_policy),
        "",
        *(f"note: {note}" for note in plan.notes),
        "No image was opened; an import also refuses images that cannot be read.",
    ]
    show({"store": str(out), **plan.model_dump(mode="json")}, "\n".join(lines), as_json)
