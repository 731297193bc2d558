"""``radcommons reference``: statistics of films, by which a hub measures generators without seeing a film."""

from pathlib import Path

import typer

from radcommons.cli.output import AsJson, bar, seed_option, show
from radcommons.errors import PathInUse, SettingRefused
from radcommons.settings import require_once

EPILOG = """
radcommons reference stores/site-a --out site-a-reference.npz

radcommons reference stores/site-a --out site-a-reference.npz --resolution 64 --resolution 128 --part test
"""


def reference(
    store: Path = typer.Argument(help="The store whose films are described."),
    out: Path = typer.Option(..., "--out", metavar="FILE.npz", help="File of the statistics; it must be new."),
    resolution: list[int] = typer.Option(
        [], "--resolution", help="Side of the films, pixels; may be repeated. Default: every side from 32 on."
    ),
    part: list[str] = typer.Option(
        [], "--part", help="A part of the split: train, val or test; may be repeated. Default: all films."
    ),
    extractor: str = typer.Option("efficientnet-lite0", "--extractor", help="Network that turns films into features."),
    extractor_weights: Path | None = typer.Option(
        None, "--extractor-weights", help="File of its weights, if it does not find its own."
    ),
    seed: int = seed_option("Of the halves, the control images and the pairs."),
    as_json: bool = AsJson,
) -> None:
    """Write mean and covariance of the features of at least 1,000 films: numbers, never pictures."""
    from radcommons.audit.reference import reference_statistics
    from radcommons.data.listing import PARTS
    from radcommons.data.store import Store
    from radcommons.extractors import load_extractor

    if out.suffix != ".npz":
        raise SettingRefused(f"--out is {out}; its name must end in .npz")
    if out.exists():
        raise PathInUse(f"{out} exists; choose another --out")
    require_once("--resolution", resolution)
    require_once("--part", part)
    if unknown := [each for each in part if each not in PARTS]:
        raise SettingRefused(f"--part is {unknown[0]}; it must be one of {', '.join(PARTS)}")
    found = reference_statistics(
        Store.open(store),
        load_extractor(extractor, weights=extractor_weights),
        parts=[each for each in PARTS if not part or each in part],
        sides=resolution,
        seed=seed,
        track=bar,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    found.save(out)
    record = found.record
    lines = [
        f"{side.side} pixels: FID of films {side.fid_films:.1f}, of blurred films {side.fid_blurred:.1f}, of "
        f"noise {side.fid_noise:.1f}; films behind these numbers can be told from others with AUC "
        f"{side.membership_auc:.2f} at most"
        for side in record.sides
    ]
    head = f"{out}: {record.films:,} films of {record.patients:,} patients of {record.name}, {record.extractor}"
    show({"out": str(out), **record.model_dump(mode="json")}, "\n".join([head, *lines]), as_json)
