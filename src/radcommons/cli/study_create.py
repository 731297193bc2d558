"""``radcommons study create`` and ``cover``: the images of a reader study, and what is covered on them."""

from pathlib import Path

import typer

from radcommons.cli.output import AsJson, Set, bar, show

CREATE_EPILOG = """
radcommons study create study.toml --out studies/first

radcommons study create study.toml --out studies/first --set seconds=off --set cover=corners
"""
COVER_EPILOG = """
radcommons study cover studies/first --image 3f0c --box 210,8,240,40

radcommons study cover studies/first --image 3f0c --clear
"""


def create(
    spec: Path = typer.Argument(metavar="SPEC.toml", help="Which films and generators, how many images; a TOML file."),
    out: Path = typer.Option(..., "--out", help="Folder of the study; it must be new or empty."),
    set_: list[str] = Set,
    as_json: bool = AsJson,
) -> None:
    """Take real films of the test part and synthetic ones, cover letters on both alike, and write a study."""
    from radcommons.errors import PathInUse
    from radcommons.folders import alone_in, holds_other_than
    from radcommons.study.design import StudySettings
    from radcommons.study.making import PREVIEW, write_study
    from radcommons.study_films import real_films, synthetic_films

    settings = StudySettings.load(spec, set_)
    real = real_films(settings)
    with alone_in(out, private=True):
        if holds_other_than(out):
            raise PathInUse(f"{out} already holds something; choose another --out")
        synthetic, origins = synthetic_films(settings, bar)
        made = write_study(out, settings, real, synthetic, origins=origins, track=bar)
    blocks = ", ".join(
        f"{b.resolution} x {b.resolution} pixels: {b.real} real, {b.synthetic} synthetic" for b in settings.block
    )
    covered = sum(1 for image in made.images if image.boxes)
    show(
        {"out": str(out), "images": len(made.images), "covered": covered, "preview": str(out / PREVIEW)},
        f"{out}: {len(made.images)} images, {settings.practice} of them to practise ({blocks})\n"
        f"something is covered on {covered} of them; look at {out / PREVIEW}, and change it with "
        f"'radcommons study cover' or on the coordinator's pages\n"
        f"the folder holds films of patients: it stays in the hospital\n"
        f"next: radcommons study serve {out}",
        as_json,
    )


def cover(
    study: Path = typer.Argument(metavar="STUDY", help="A study in which no reader has begun."),
    image: str = typer.Option(..., "--image", help="Name of an image on the preview page, or how it begins."),
    box: list[str] = typer.Option(
        [], "--box", metavar="LEFT,TOP,RIGHT,BOTTOM", help="Cover these pixels too; may be repeated."
    ),
    clear: bool = typer.Option(False, "--clear", help="First uncover everything."),
    as_json: bool = AsJson,
) -> None:
    """Change what is covered on an image, and alike on its partner of the other kind, until readers have begun."""
    from radcommons.folders import readable_by_owner
    from radcommons.study.making import PREVIEW, change_boxes, read_box

    with readable_by_owner(True):
        changed = change_boxes(study, image, [read_box(text) for text in box], clear=clear)
    names = ", ".join(one.name[:8] for one in changed)
    show(
        {"images": [one.model_dump(exclude={"truth"}) for one in changed]},
        f"{study}: changed on {len(changed)} images ({names}); look at {study / PREVIEW}",
        as_json,
    )
