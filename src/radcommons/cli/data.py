"""``radcommons data``: make a store from radiographs and a table, or simulate one; look at it and check it."""

import io
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from radcommons.cli import data_import
from radcommons.cli.label_table import counts, label_table
from radcommons.cli.output import AsJson, Cluster, bar, seed_option, show

if TYPE_CHECKING:
    from radcommons.data.summary import StoreSummary

app = typer.Typer(help="Make, show and check stores: a site's radiographs, inside the hospital.", no_args_is_help=True)
app.add_typer(data_import.app, name="import")

IDENTICAL_SHOWN = 10
STORE = typer.Argument(help="A store's folder.")


@app.command(epilog="radcommons data phantom --out stores/site-a --patients 400 --site A --resolution 64")
def phantom(
    out: Path = typer.Option(..., "--out", help="Folder of the store; an unfinished one there is continued."),
    patients: int = typer.Option(..., "--patients", help="Number of patients, each with one to four films."),
    site: str = typer.Option("A", "--site", help="The hospital: A, B, or any other name; each has its own films."),
    resolution: int = typer.Option(128, "--resolution", help="Side of the largest images, pixels, 16 to 1024."),
    seed: int = seed_option("Simulated patient i depends on the seed, the site and i only."),
    workers: int | None = typer.Option(None, "--workers", help="Processes; all cores by default."),
    cluster: str | None = Cluster,
    as_json: bool = AsJson,
) -> None:
    """Simulate a hospital: chest films of a digital phantom, with findings in known places."""
    from radcommons.data.ingest import ingest_phantoms

    with data_import.work_on(workers, cluster) as team:
        record = ingest_phantoms(
            out,
            patients=patients,
            site=site,
            resolution=resolution,
            seed=seed,
            workers=team,
            track=bar,
        )
    data_import.show_record(out, record, as_json)


@app.command(epilog="radcommons data info stores/site-a")
def info(
    store: Path = STORE,
    sheet: Path | None = typer.Option(None, "--sheet", help="File for the contact sheet; by default in the store."),
    as_json: bool = AsJson,
) -> None:
    """Count images, patients and findings, and draw a contact sheet."""
    from radcommons.data.store import Store
    from radcommons.data.summary import store_sheet, summarise
    from radcommons.errors import PathInUse
    from radcommons.files import write_whole
    from radcommons.folders import make_folder, readable_by_owner

    opened = Store.open(store)
    summary = summarise(opened)
    picture = sheet or store / "contact_sheet.png"
    drawn = io.BytesIO()
    store_sheet(opened).save(drawn, format="PNG")
    if sheet is not None and sheet.exists() and sheet.read_bytes() != drawn.getvalue():
        raise PathInUse(f"{sheet} is already there and is another file; choose another --sheet")
    make_folder(picture.parent, private=False)
    with readable_by_owner(True):
        write_whole(picture, drawn.getvalue())
    result = {**summary.model_dump(mode="json"), "contact_sheet": str(picture)}
    show(result, _as_text(summary) + f"\ncontact sheet  {picture}", as_json)


@app.command("verify", epilog="radcommons data verify stores/site-a")
def verify_store(store: Path = STORE, as_json: bool = AsJson) -> None:
    """Compare every stored image with its digest; print one line per fault and exit with 2 if there is any."""
    from radcommons.data.verify import verify
    from radcommons.errors import StoreRefused

    images, faults = verify(store, bar)
    whole = f"{store}: {images:,} images, all as imported"
    show({"store": str(store), "images": images, "faults": faults}, "\n".join(faults) or whole, as_json)
    if faults:
        places = "1 place" if len(faults) == 1 else f"{len(faults):,} places"
        raise StoreRefused(f"{store} is damaged in {places}; restore it from a copy, or import again to a new folder")


def _as_text(summary: "StoreSummary") -> str:
    lines = [
        f"{summary.name}  ({summary.source}, {summary.path})",
        f"images         {summary.images:,} of {summary.patients:,} patients",
        f"not taken      {summary.rejected:,} refused (rejected.csv), {summary.absent:,} rows without an image",
        f"resolutions    {', '.join(map(str, summary.resolutions))}; {summary.fit}; {summary.upsampled:,} enlarged",
        f"split          images {counts(summary.images_by_part)}; patients {counts(summary.patients_by_part)}",
        f"checks         {summary.shared_patients} patients in two parts, "
        f"{summary.identical_images} identical films under different patients",
        f"views          {counts(summary.views)}",
        f"sexes          {counts(summary.sexes)}",
        *_identical_films(summary),
    ]
    if summary.age_years:
        low, middle, high = summary.age_years
        lines.append(f"age            median {middle:g} years (5% below {low:g}, 5% above {high:g})")
    lines += ["", *label_table(summary.findings, summary.without_finding, summary.label_policy), ""]
    lines += [f"note: {note}" for note in summary.notes]
    return "\n".join(lines)


def _identical_films(summary: "StoreSummary") -> list[str]:
    """Lines about the first films that several patients share: manifest rows and pseudonyms."""
    shown = summary.identical[:IDENTICAL_SHOWN]
    more = len(summary.identical) - len(shown)
    named = [
        "identical      " + ", ".join(f"row {film.row} ({film.image_id})" for film in films)
        for _, films in groupby(shown, key=lambda film: film.group)
    ]
    return [*named, *([f"               and {more:,} more films; --json lists all"] if more else [])]
