"""``radcommons pool``: one labelled synthetic set from several generators."""

from contextlib import nullcontext
from pathlib import Path

import typer

from radcommons.cli.output import AsJson, Cluster, Set, StudyDate, bar, show

EPILOG = """
radcommons pool pool.toml --out pooled

radcommons pool pool.toml --out pooled --set total_images=100000 --set format=npz
"""


def pool(
    spec: Path = typer.Argument(
        metavar="SPEC.toml", help="Which generators draw how many images of what; a TOML file."
    ),
    out: Path = typer.Option(..., "--out", help="Folder of the set; the same command continues an unfinished set."),
    set_: list[str] = Set,
    dry_run: bool = typer.Option(False, "--dry-run", help="Say who would draw what, and draw nothing."),
    study_date: str | None = StudyDate,
    cluster: str | None = Cluster,
    as_json: bool = AsJson,
) -> None:
    """Draw one labelled set from several generators; what a generator does not know stays unknown."""
    from radcommons.pool.pool import Pool
    from radcommons.pool.settings import PoolSettings
    from radcommons.synthetic.contact_sheet import SHEET
    from radcommons.synthetic.dicom import read_study_date

    if cluster:
        from radcommons.cluster.dask_engine import open_cluster

    settings = PoolSettings.load(spec, set_)
    day = read_study_date(study_date, settings.format)
    opened = Pool(settings, track=bar)
    drawn = 0
    if not dry_run:
        with open_cluster(cluster) if cluster else nullcontext() as team:
            drawn = opened.write(out, study_date=day, cluster=team, track=bar)
    generators = [dict(share.provenance) for share in opened.plan.shares]
    side = opened.resolution
    state = " (dry run)" if dry_run else "" if drawn else " (already there)"
    lines = [
        f"{out}: {len(opened):,} synthetic images of {side} x {side} pixels, {len(opened.findings)} findings{state}",
        *(
            f"  {each['name']}: {each['images']:,} images, labels {each['label_choice']}; "
            f"knows {len(each['findings'])} of the findings"
            for each in generators
        ),
        *([f"open {out / SHEET}"] if drawn else []),
    ]
    show(
        {
            "out": str(out),
            "contact_sheet": None if dry_run else str(out / SHEET),
            "images": len(opened),
            "drawn_now": drawn,
            "resolution": side,
            "findings": list(opened.findings),
            "seed": settings.seed,
            "format": settings.format,
            "generators": generators,
        },
        "\n".join(lines),
        as_json,
    )
