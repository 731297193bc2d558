"""``radcommons explain``: what has a generator learned about its findings?"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import typer

from radcommons.cli.option_groups import with_option_groups
from radcommons.cli.output import AsJson, GeneratorArgument, bar, seed_option, show
from radcommons.records import Explanation

app = typer.Typer(no_args_is_help=True, help="What a generator has learned: interpolation, maps, correlations.")


@dataclass(frozen=True)
class Options:
    """The options of every command."""

    generator: Path = GeneratorArgument
    out: Path = typer.Option(..., "--out", help="Folder of the results; every command adds to the same page.")
    audit: Path | None = typer.Option(None, "--audit", help="Folder of this generator's audit, to show on the page.")
    seed: int = seed_option("Same seed, same latent vectors as in 'radcommons generate'.")
    precision: Literal["auto", "fp32", "bf16"] = typer.Option(
        "fp32",
        "--precision",
        help="In which to draw; auto = that of the folder, or bf16 if it is found to be fast here.",
    )
    as_json: bool = AsJson


@dataclass(frozen=True)
class FindingOptions:
    """Which findings to explain."""

    finding: list[str] = typer.Option([], "--finding", help="A finding; if repeated, the labels rise together.")
    every: bool = typer.Option(False, "--all", help="Every finding of the generator, each alone.")


@dataclass(frozen=True)
class InterpolationOptions:
    """The fields of `InterpolationRequest`."""

    frames: int = typer.Option(11, "--frames", help="Number of label values from 0 to 1, both included.")
    patients: int = typer.Option(4, "--patients", help="Latent vectors (simulated patients) to show.")


@dataclass(frozen=True)
class MapOptions:
    """The fields of `MapRequest`."""

    n: int = typer.Option(1000, "-n", "--number", help="Latent vectors in the mean map.")
    smoothing: float = typer.Option(0.02, "--smooth", help="Sigma of a Gaussian, share of the image's side; 0 = raw.")
    singles: int = typer.Option(4, "--singles", min=0, max=8, help="Latent vectors shown one by one below the mean.")
    store: Path | None = typer.Option(None, "--store", help="A simulated hospital, to compare its known regions.")
    boxes: Path | None = typer.Option(None, "--boxes", help="BBox_List_2017.csv of NIH, to compare its boxes.")
    extractor: str = typer.Option(
        "efficientnet-lite0", "--extractor", help="Features that measure whether the person stays the same; or 'off'."
    )


MORPH_EPILOG = """
radcommons explain morph runs/site-a --finding Effusion --out explained/site-a

radcommons explain morph runs/site-a --all --out explained/site-a --frames 21 --patients 6
"""
MAP_EPILOG = """
radcommons explain map runs/site-a --finding Effusion --finding Cardiomegaly --out explained/site-a

radcommons explain map runs/nih --all --out explained/nih --boxes ChestX-ray14/BBox_List_2017.csv
"""
CORRELATE_EPILOG = """
radcommons explain correlate runs/site-a --classifier classifiers/site-a --out explained/site-a

radcommons explain correlate runs/site-a --classifier classifiers/site-a --out explained/site-a --pair Effusion:Edema
"""
ALL_EPILOG = """
radcommons explain all runs/site-a --out explained/site-a --store stores/site-a

radcommons explain all runs/site-a --out explained/site-a --audit audits/site-a
"""


@app.command("morph", epilog=MORPH_EPILOG)
@with_option_groups
def morph(options: Options, chosen: FindingOptions, interpolation: InterpolationOptions) -> None:
    """Label interpolation at a fixed latent vector, from 0 to 1: a strip, an animation, a slider on the page."""
    _explain(options, chosen, interpolation=interpolation)


@app.command("map", epilog=MAP_EPILOG)
@with_option_groups
def map_(options: Options, chosen: FindingOptions, maps: MapOptions) -> None:
    """Show where a finding changes the image (with minus without, same latent vectors) and score the place."""
    _explain(options, chosen, maps=maps)


@app.command("correlate", epilog=CORRELATE_EPILOG)
@with_option_groups
def correlate(
    options: Options,
    classifier: Path = typer.Option(..., "--classifier", help="A run of 'classify train' on real films."),
    n: int = typer.Option(5000, "-n", "--number", help="Images per label."),
    evaluation: Path | None = typer.Option(
        None, "--evaluation", help="Folder of this classifier's 'classify eval': which findings can it judge?"
    ),
    pair: list[str] = typer.Option(
        [],
        "--pair",
        metavar="LABEL:OUTPUT",
        help="Draw this scatter plot; may be repeated. Default: the diagonal and the strongest other pairs.",
    ),
) -> None:
    """Correlate every label with every output of a classifier; show the labels' correlation in training beside it."""
    from radcommons.explain.flow import correlate as carry_out
    from radcommons.explain.folder import PAGE
    from radcommons.explain.summary import correlation_text

    o = options
    found = carry_out(
        o.generator,
        classifier,
        o.out,
        n=n,
        pairs=pair,
        evaluation=evaluation,
        audit=o.audit,
        seed=o.seed,
        precision=o.precision,
        track=bar,
    )
    _show(found, correlation_text(found, o.out / PAGE), options)


@app.command("all", epilog=ALL_EPILOG)
@with_option_groups
def all_(options: Options, interpolation: InterpolationOptions, maps: MapOptions) -> None:
    """Label interpolation and difference map of every finding, on one page."""
    _explain(options, FindingOptions(finding=[], every=True), interpolation=interpolation, maps=maps)


def _explain(
    options: Options,
    chosen: FindingOptions,
    *,
    interpolation: InterpolationOptions | None = None,
    maps: MapOptions | None = None,
) -> None:
    from radcommons.explain.flow import InterpolationRequest, MapRequest, explain
    from radcommons.explain.folder import PAGE
    from radcommons.explain.summary import as_text

    found = explain(
        options.generator,
        options.out,
        chosen.finding,
        every=chosen.every,
        interpolation=InterpolationRequest(**asdict(interpolation)) if interpolation else None,
        map_=MapRequest(**asdict(maps)) if maps else None,
        audit=options.audit,
        seed=options.seed,
        precision=options.precision,
        track=bar,
    )
    _show(found, as_text(found, chosen.finding, options.out / PAGE), options)


def _show(explanation: Explanation, text: str, options: Options) -> None:
    from radcommons.explain.folder import PAGE

    show({**explanation.model_dump(mode="json"), "page": str(options.out / PAGE)}, text, options.as_json)
