"""``radcommons generate``: draw a labelled synthetic set from a generator."""

from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import typer

from radcommons.cli.output import AsJson, Cluster, GeneratorArgument, StudyDate, bar, seed_option, show
from radcommons.errors import SettingRefused
from radcommons.settings import require_once

EPILOG = """
radcommons generate runs/site-a --out synthetic -n 1000 --balanced

radcommons generate runs/site-a --out effusions -n 100 --label Effusion=1 --label Cardiomegaly=0.5 --format dicom

radcommons generate hub://hub.example.org/clinic-a/chest-64 --out synthetic -n 1000
"""


def generate(
    generator: Path = GeneratorArgument,
    out: Path = typer.Option(..., "--out", help="Folder of the set; the same command continues an unfinished set."),
    n: int = typer.Option(..., "-n", "--number", help="Number of images."),
    label: list[str] = typer.Option(
        [], "--label", metavar="FINDING=VALUE", help="A finding's value from 0 to 1; all others are 0. May be repeated."
    ),
    balanced: bool = typer.Option(False, "--balanced", help="Show each finding in turn; not together with --label."),
    seed: int = seed_option("Image i depends on the generator, the seed and i only."),
    format: Literal["png", "dicom", "npz"] = typer.Option("png", "--format", help="File format of the images."),
    precision: Literal["auto", "fp32", "bf16"] = typer.Option(
        "fp32",
        "--precision",
        help="bf16 = mixed precision: other grey levels on other machines; auto = bf16 if it is found to be fast here.",
    ),
    study_date: str | None = StudyDate,
    cluster: str | None = Cluster,
    as_json: bool = AsJson,
) -> None:
    """Draw labelled synthetic radiographs; without --label and --balanced, with labels as frequent as in training."""
    from radcommons.models.generator import Generator, LabelChoice
    from radcommons.synthetic.contact_sheet import SHEET
    from radcommons.synthetic.dicom import read_study_date
    from radcommons.synthetic.sampling import write_set
    from radcommons.synthetic.writing import begun_precision

    if cluster:
        from radcommons.cluster.dask_engine import open_cluster

    day = read_study_date(study_date, format)
    choice = LabelChoice(_labels(label) if label else None, balanced)
    opened = Generator.load(generator, precision=begun_precision(out, precision), track=bar)
    choice.check(opened.findings)
    with open_cluster(cluster) if cluster else nullcontext() as team:
        drawn = write_set(
            [opened], out, n, choice=choice, seed=seed, format=format, study_date=day, cluster=team, track=bar
        )
    show(
        {
            "out": str(out),
            "contact_sheet": str(out / SHEET),
            "images": n,
            "drawn_now": drawn,
            "resolution": opened.resolution,
            "findings": list(opened.findings),
            "labels": choice.describe(),
            "seed": seed,
            "format": format,
            "precision": opened.precision,
            "generator_digest": opened.digest,
        },
        f"{out}: {n:,} synthetic images of {opened.resolution} x {opened.resolution} pixels, labels {choice.describe()}"
        + (f"\nopen {out / SHEET}" if drawn else " (already there)"),
        as_json,
    )


def _labels(pairs: list[str]) -> dict[str, float]:
    require_once("--label", [pair.rpartition("=")[0].strip() for pair in pairs])
    labels: dict[str, float] = {}
    for pair in pairs:
        finding, equals, value = pair.rpartition("=")
        try:
            labels[finding.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise SettingRefused(f"--label {pair}: write it as FINDING=VALUE, with a value from 0 to 1")
    return labels
