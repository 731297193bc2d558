"""Check the folder that an import writes to: is it free or its own, and is there enough space?"""

import shutil
from pathlib import Path

from radcommons.data.store import JOURNAL_FOLDER
from radcommons.errors import DiskFull
from radcommons.folders import claim

KEY_FILE = "pseudonym.key"
TRUTH_FILE = "truth.npz"  # where findings sit in simulated films


def require_free_space(out: Path, images: int, resolution: int) -> None:
    """Raise DiskFull, before anything is written, if the disk has no room for `images` at all resolutions.

    Files that an unfinished import has already written are subtracted.
    """
    needed = bytes_needed(images, resolution) - sum(p.stat().st_size for p in out.glob("images_*.npy"))
    existing = nearest_existing(out)
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise DiskFull(
            f"the import needs about {needed / 2**30:.1f} GiB and {existing} has {free / 2**30:.1f} GiB free; "
            "free some space, choose another --out or a smaller --resolution"
        )


def bytes_needed(images: int, resolution: int) -> int:
    """Bytes of `images` at all resolutions."""
    return images * resolution**2 * 4 // 3


def nearest_existing(path: Path) -> Path:
    """`path`, or the nearest folder above it that exists."""
    return next(p for p in (path, *path.absolute().parents) if p.exists())


def require_own_folder(out: Path, *own: Path) -> None:
    """Raise PathInUse unless `out` is absent, a finished or unfinished store, or holds only `own` files."""
    begun = (out / "store.json").is_file() or (out / JOURNAL_FOLDER).is_dir()
    ours = {KEY_FILE, TRUTH_FILE, *(path.name for path in own if path.absolute().parent == out.absolute())}
    keys_begun = {path.name for path in out.glob(f".{KEY_FILE}.*")}
    claim(out, {}, file=None, begun={} if begun else None, ours=ours | keys_begun)


def import_begun(out: Path) -> bool:
    """Whether `out` has a finished import, or an unfinished one with at least one block."""
    journal = journal_file(out)
    return (out / "store.json").is_file() or (journal.is_file() and journal.stat().st_size > 0)


def journal_file(out: Path) -> Path:
    """Path of the journal of an unfinished import: one JSON object per block and line."""
    return out / JOURNAL_FOLDER / "journal.jsonl"
