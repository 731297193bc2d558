"""Start the server of a study."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from radcommons.errors import StudyRefused
from radcommons.files import write_whole
from radcommons.study.begun import close
from radcommons.study.design import SERVED, Study
from radcommons.web.server import LOCAL, ready
from radcommons.web.site import Site

COORDINATOR = "coordinator"
COMMAND = "the command line"


def study_site(study: Study, database: str | None = None, hosts: Sequence[str] = (), *, https: bool = False) -> Site:
    """The site of a study."""
    return Site(
        data=study.folder / SERVED,
        database=database,
        hosts=(*LOCAL, *hosts),
        https=https,
        apps=("radcommons.study",),
        urls="radcommons.study.urls",
        name=study.settings.title,
        durable=True,
    )


def check(study: Study) -> None:
    """Refuse a study whose files tell real from synthetic images by their size."""
    sizes: dict[tuple[bool, int], set[int]] = defaultdict(set)
    for image in study.images:
        sizes[image.practice, image.block].add(study.path(image).stat().st_size)
    for (practice, block), found in sizes.items():
        if len(found) > 1:
            name = "the practice images" if practice else f"the images of block {block + 1}"
            raise StudyRefused(
                f"{study.folder}: {name} have files of {len(found)} different sizes, which a reader's browser can see; "
                "make the study again"
            )


def begin(study: Study) -> str | None:
    """Hold the database to this study; returns the path of the coordinator's link if no password is set yet.

    Raises:
        StudyRefused: readers have begun another study in this database.
    """
    from radcommons.study.models import LogEntry, Showing, Trial
    from radcommons.web.accounts import first_account

    trial, _ = Trial.objects.get_or_create(pk=1, defaults={"digest": study.digest})
    if Showing.objects.exists():
        if trial.digest != study.digest:
            raise StudyRefused(
                f"{study.folder}: settings or images are not those with which readers began; put them back, or make "
                "another study in a folder of its own"
            )
        close(study.folder)
    Trial.hold(study)
    return first_account(COORDINATOR, lambda name: LogEntry.add(COMMAND, "coordinator made", name))


def write_answers(folder: Path, database: str | None = None) -> Path:
    """Export the answers of a study that was served to a CSV file beside them; raises StudyRefused if it never was."""
    study = Study.open(folder)
    if not (folder / SERVED).is_dir():
        raise StudyRefused(f"{folder} was not served yet; run 'radcommons study serve {folder}'")
    ready(study_site(study, database))
    from radcommons.study.export import as_csv

    path = folder / SERVED / "answers.csv"
    write_whole(path, as_csv())
    return path


def new_link() -> str:
    """Path of a link with which the coordinator sets a new password."""
    from django.contrib.auth import get_user_model

    from radcommons.study.models import LogEntry
    from radcommons.web.accounts import invitation

    LogEntry.add(COMMAND, "link made", COORDINATOR)
    return invitation(get_user_model().objects.get(username=COORDINATOR))
