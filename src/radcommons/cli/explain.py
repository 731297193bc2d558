"""``radcommons explain``: what has a generator learned about its findings?"""

from pathlib import Path

import typer

from radcommons.cli.output import AsJson, bar, seed_option, show
from radcommons.records import Explanation

app = typer.Typer(no_args_is_help=True, help="What a generator has learned: interpolation, maps, correlations.")

Reference = typer.Argument(metavar="GENERATOR", help="A run, or the folder of a generator package.")
Out = typer.Option(..., "--out", help="Folder of the results; every command for one generator adds to the same page.")
Findings = typer.Option([], "--finding", help="A finding; if repeated, the labels rise together. All others stay 0.")
Every = typer.Option(False, "--all", help="Every finding of the generator, each alone.")
Seed = seed_option("Same seed, same latent vectors as in 'radcommons generate'.")
Frames = typer.Option(11, "--frames", help="Label values from 0 to 1, both included.")
Patients = typer.Option(4, "--patients", help="Latent vectors (simulated patients) to show.")
Number = typer.Option(1000, "-n", "--number", help="Latent vectors in the mean map.")
Smooth = typer.Option(0.02, "--smooth", help="Sigma of a Gaussian, share of the image's side; 0 = raw maps.")
Singles = typer.Option(4, "--singles", min=0, max=8, help="Latent vectors shown one by one below the mean map.")
StoreOption = typer.Option(None, "--store", help="A simulated hospital; score the maps against its known regions.")
Boxes = typer.Option(None, "--boxes", help="BBox_List_2017.csv of NIH ChestX-ray14; score the maps against its boxes.")
Audit = typer.Option(None, "--audit", help="Folder of this generator's audit; add its verdict and numbers to the page.")
ExtractorOption = typer.Option(
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
def morph(
    generator: Path = Reference,
    out: Path = Out,
    finding: list[str] = Findings,
    every: bool = Every,
    frames: int = Frames,
    patients: int = Patients,
    audit: Path | None = Audit,
    seed: int = Seed,
    as_json: bool = AsJson,
) -> None:
    """Label interpolation at a fixed latent vector, from 0 to 1: a strip, an animation, a slider on the page."""
    from radcommons.explain.flow import InterpolationRequest, explain

    asked = InterpolationRequest(frames, patients)
    found = explain(generator, out, finding, every=every, interpolation=asked, audit=audit, seed=seed, track=bar)
    _show(found, finding, out, as_json)


@app.command("map", epilog=MAP_EPILOG)
def map_(
    generator: Path = Reference,
    out: Path = Out,
    finding: list[str] = Findings,
    every: bool = Every,
    n: int = Number,
    smooth: float = Smooth,
    singles: int = Singles,
    store: Path | None = StoreOption,
    boxes: Path | None = Boxes,
    extractor: str = ExtractorOption,
    audit: Path | None = Audit,
    seed: int = Seed,
    as_json: bool = AsJson,
) -> None:
    """Show where a finding changes the image (with minus without, same latent vectors) and score the place."""
    from radcommons.explain.flow import MapRequest, explain

    asked = MapRequest(n, smooth, singles, store, boxes, extractor)
    found = explain(generator, out, finding, every=every, map_=asked, audit=audit, seed=seed, track=bar)
    _show(found, finding, out, as_json)


@app.command("correlate", epilog=CORRELATE_EPILOG)
def correlate(
    generator: Path = Reference,
    out: Path = Out,
    classifier: Path = typer.Option(..., "--classifier", help="A run of 'classify train' on real films."),
    n: int = typer.Option(5000, "-n", "--number", help="Images per label."),
    pair: list[str] = typer.Option(
        [],
        "--pair",
        metavar="LABEL:OUTPUT",
        help="Draw this scatter plot; may be repeated. Default: the diagonal and the strongest other pairs.",
    ),
    audit: Path | None = Audit,
    seed: int = Seed,
    as_json: bool = AsJson,
) -> None:
    """Correlate every label with every output of a classifier; show the labels' correlation in training beside it."""
    from radcommons.explain.flow import correlate as carry_out
    from radcommons.explain.folder import PAGE
    from radcommons.explain.summary import correlation_text

    explanation = carry_out(generator, classifier, out, n=n, pairs=pair, audit=audit, seed=seed, track=bar)
    page = out / PAGE
    result = {**explanation.model_dump(mode="json"), "page": str(page)}
    show(result, correlation_text(explanation, page), as_json)


@app.command("all", epilog=ALL_EPILOG)
def all_(
    generator: Path = Reference,
    out: Path = Out,
    frames: int = Frames,
    patients: int = Patients,
    n: int = Number,
    smooth: float = Smooth,
    singles: int = Singles,
    store: Path | None = StoreOption,
    boxes: Path | None = Boxes,
    extractor: str = ExtractorOption,
    audit: Path | None = Audit,
    seed: int = Seed,
    as_json: bool = AsJson,
) -> None:
    """Label interpolation and difference map of every finding, on one page."""
    from radcommons.explain.flow import InterpolationRequest, MapRequest, explain

    maps = MapRequest(n, smooth, singles, store, boxes, extractor)
    asked = InterpolationRequest(frames, patients)
    found = explain(generator, out, every=True, interpolation=asked, map_=maps, audit=audit, seed=seed, track=bar)
    _show(found, [], out, as_json)


def _show(explanation: Explanation, findings: list[str], out: Path, as_json: bool) -> None:
    from radcommons.explain.folder import PAGE
    from radcommons.explain.summary import as_text

    page = out / PAGE
    show({**explanation.model_dump(mode="json"), "page": str(page)}, as_text(explanation, findings, page), as_json)
