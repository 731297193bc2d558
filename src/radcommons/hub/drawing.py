"""Films on demand: a visitor chooses labels and a seed, the drawing worker draws eight films, the page shows them.

The weights never run in the web server. A drawing is named by what was asked for, so that the same question is
answered from the disk.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models import Q, QuerySet
from django.utils import timezone
from django_tasks import TaskResultStatus, task
from django_tasks_db.models import DBTaskResult

from radcommons.hub.models import Revision

if TYPE_CHECKING:
    from radcommons.models.generator import Generator

QUEUE = "drawings"
FILMS = 8
MOST_WAITING = 20  # drawings; more visitors are asked to come back
LONGEST = timedelta(minutes=1)  # a drawing; after that its worker is dead
KEPT = timedelta(days=2)
LOADED = 4  # generators in memory
STEPS = 20  # of a label from 0 to 1
SEEDS = 10_000


class TooMany(Exception):
    """The queue is full."""


def drawing_name(revision: Revision, labels: Mapping[str, float], seed: int) -> str:
    """Name of a drawing in the storage."""
    asked = json.dumps([revision.weights_sha256, sorted(labels.items()), seed])
    return f"drawings/{hashlib.sha256(asked.encode()).hexdigest()}.png"


def wanted(revision: Revision, labels: Mapping[str, float], seed: int) -> bool:
    """Whether a drawing is there; if not, it is put into the queue. Raises TooMany."""
    name = drawing_name(revision, labels, seed)
    if default_storage.exists(name):
        return True
    waiting = queue()
    if waiting.filter(args_kwargs__args=[revision.pk, dict(labels), seed]).exists():
        return False
    if waiting.count() >= MOST_WAITING:
        raise TooMany
    draw.enqueue(revision.pk, dict(labels), seed)
    return False


def queue() -> "QuerySet[DBTaskResult]":
    """Drawings that wait, or that are being drawn."""
    lately = Q(status=TaskResultStatus.RUNNING, started_at__gt=timezone.now() - LONGEST)  # not of a killed worker
    return DBTaskResult.objects.filter(Q(status=TaskResultStatus.READY) | lately, queue_name=QUEUE)


@task(queue_name=QUEUE)
def draw(revision_id: int, labels: dict[str, float], seed: int) -> None:
    """Draw and keep eight films; nothing if the generator was withdrawn meanwhile."""
    from radcommons.pictures import SYNTHETIC, contact_sheet

    revision = Revision.objects.select_related("generator").filter(pk=revision_id).first()
    if revision is None or revision.generator.withdrawn is not None:
        return
    name = drawing_name(revision, labels, seed)
    if default_storage.exists(name):
        return
    images = _loaded(revision.pk).generate(FILMS, findings=labels, seed=seed).images
    side = max(128, revision.resolution)
    sheet = contact_sheet([images[: FILMS // 2], images[FILMS // 2 :]], side=side, title=SYNTHETIC)
    buffer = BytesIO()
    sheet.save(buffer, "PNG")
    default_storage.save(name, ContentFile(buffer.getvalue()))


def remove_old_drawings() -> None:
    """Delete drawings that nobody asked for lately."""
    if not default_storage.exists("drawings"):
        return
    for name in default_storage.listdir("drawings")[1]:
        if default_storage.get_modified_time(f"drawings/{name}") < timezone.now() - KEPT:
            default_storage.delete(f"drawings/{name}")


@lru_cache(maxsize=LOADED)
def _loaded(revision_id: int) -> "Generator":
    """The generator of a revision, from a folder with its three files."""
    import tempfile

    from radcommons.hub.files import content_name
    from radcommons.models.generator import Generator
    from radcommons.packages.contents import CONFIG, FINDINGS, WEIGHTS

    revision = Revision.objects.get(pk=revision_id)
    with tempfile.TemporaryDirectory() as folder:
        for file in revision.files.filter(path__in=(CONFIG, FINDINGS, WEIGHTS)):
            with default_storage.open(content_name(file.sha256)) as content:
                (Path(folder) / file.path).write_bytes(content.read())
        return Generator.load(Path(folder), device="cpu")
