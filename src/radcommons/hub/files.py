"""Where the content of published files lies: under its digest, once, in Django's storage."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from filelock import FileLock


def content_name(sha256: str) -> str:
    """Name in the storage."""
    return f"content/{sha256[:2]}/{sha256}"


def keep(path: Path, sha256: str) -> None:
    """Put a file's content into the storage, unless it is there; inside `content_stays`."""
    name = content_name(sha256)
    if not default_storage.exists(name):
        with path.open("rb") as file:
            default_storage.save(name, File(file))


@contextmanager
def content_stays() -> Iterator[None]:
    """Held while content is put in or taken out: none is deleted that a revision is just about to name."""
    with FileLock(settings.RADCOMMONS_DATA / "content.lock"):
        yield


def revision_sha(files: dict[str, str]) -> str:
    """The name of a revision, 40 hexadecimal digits, from the digests of its files by path."""
    lines = "".join(f"{digest}  {path}\n" for path, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:40]
