"""Make a store from a listing or a simulated hospital: parallel, in order, resumable.

Workers read, crop and shrink films; one writer appends their blocks. The writer sees pseudonyms only.
Workers are threads if all films are PNG or JPEG, which are decoded without Python's global lock, and processes if any
film is DICOM.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from radcommons.cluster.address import Cluster
from radcommons.data import phantom
from radcommons.data.colour import MOST_COLOURED_PERCENT
from radcommons.data.listing import Candidate, Listing
from radcommons.data.memory import keep_freed_memory
from radcommons.data.pixels import Fit, is_picture, pyramid, read, square
from radcommons.data.pseudonyms import fingerprint, load_or_create_key, phantom_fingerprint, pseudonym
from radcommons.data.sending import for_other_machines, require_folder, under_pseudonyms
from radcommons.data.split import SplitLists, part_by_hash, with_split
from radcommons.data.store import Store, pixels_digest
from radcommons.data.store_folder import (
    KEY_FILE,
    TRUTH_FILE,
    import_begun,
    require_free_space,
    require_own_folder,
)
from radcommons.data.store_writer import (
    Block,
    RejectedImage,
    Request,
    StoredImage,
    StoreWriter,
    forget_journal,
    nothing_to_import,
)
from radcommons.data.views import NOTHING_DECLARED, Declared
from radcommons.errors import ImageRefused, NothingToImport, PathMissing, SettingRefused
from radcommons.files import write_arrays
from radcommons.folders import alone_in
from radcommons.progress import Track, silent
from radcommons.records import StoreRecord
from radcommons.records.store import PHANTOM
from radcommons.workers import Workers, in_order

BLOCK_BYTES = 8 * 2**20  # most pixels of the largest resolution in a block
BLOCK_IMAGES = 64  # most images in a block
FEWEST_BLOCKS = 32  # blocks of an import, if it has as many images, so that all workers are busy in a small one
SPLIT_SALT = "radcommons-1"
TRUTH_EXAMS = 40


def ladder(resolution: int, least: int = 4) -> tuple[int, ...]:
    """4, 8, ... `resolution`; raises SettingRefused for anything but a power of two in `least` .. 1024."""
    if not least <= resolution <= 1024 or resolution & (resolution - 1):
        raise SettingRefused(f"resolution is {resolution}; it must be a power of two from {least} to 1024")
    return tuple(2**k for k in range(2, resolution.bit_length()))


def ingest(
    listing: Listing,
    out: Path,
    *,
    name: str,
    resolution: int,
    fit: Fit = "crop",
    most_coloured_percent: float = MOST_COLOURED_PERCENT,
    split_salt: str = SPLIT_SALT,
    split_lists: SplitLists | None = None,
    key_file: Path | None = None,
    workers: Workers = 1,
    track: Track = silent,
) -> StoreRecord:
    """Import all films of a listing; the same call continues an interrupted import and does nothing for a finished one.

    Args:
        listing: the films of a source.
        out: folder of the store.
        name: the site's name.
        resolution: side of the largest stored images, pixels.
        fit: how a film becomes square.
        most_coloured_percent: largest share of coloured pixels in a PNG or JPEG film.
        split_salt: salt of the patient hash of the split.
        split_lists: official parts, used instead of the hash.
        key_file: secret key of the pseudonyms; created on first use, by default inside the store.
        workers: number of threads, or of processes if any film is DICOM; or a cluster that has the films at the same
            absolute paths.
    Raises:
        PathInUse: `out` holds something else, or another process writes to it.
        PathMissing: the key of an unfinished store is missing.
        DiskFull, NothingToImport, WorkerKilled.
    """
    resolutions = ladder(resolution)
    listing = with_split(listing, split_lists, salt=split_salt).with_few_words()
    if not listing.candidates:
        raise nothing_to_import((r.reason for r in listing.refusals), listing.absent)
    key_path = key_file or out / KEY_FILE
    with alone_in(out, private=True):
        require_own_folder(out, key_path)
        if not (out / "store.json").is_file():
            require_free_space(out, len(listing.candidates), resolution)
        new_key = not key_path.exists()
        key = _key(key_path, out)
        candidates = under_pseudonyms(listing.candidates, key)
        folder: Path | None = None
        request = _request(
            name=name,
            source=listing.source,
            findings=listing.findings,
            resolutions=resolutions,
            label_policy=listing.label_policy,
            fit=fit,
            split_salt=split_salt,
            absent=listing.absent,
            key_fingerprint=fingerprint(key),
            identity=[pseudonym("", key=key), most_coloured_percent, *_identities(candidates, listing)],
        )
        if (done := _already_there(out, request)) is not None:
            return done
        refused = [RejectedImage(r.row, pseudonym(r.image, key=key), r.reason) for r in listing.refusals]
        if isinstance(workers, Cluster):
            candidates, folder = for_other_machines(candidates)
        prepare = partial(
            _prepare,
            resolutions=resolutions,
            fit=fit,
            declared=listing.declared,
            most_coloured_percent=most_coloured_percent,
            folder=folder,
            caller=os.getpid(),
        )
        threads = all(is_picture(c.path) for c in candidates)
        writer = StoreWriter.begin(out, request)
        try:
            _fill(writer, prepare, candidates, refused, workers, track, "Importing", threads=threads)
            return writer.finish()
        except NothingToImport:
            if new_key and key_file is None:  # remove what this call created
                key_path.unlink()
            raise


def ingest_phantoms(
    out: Path,
    *,
    patients: int,
    site: str,
    resolution: int,
    seed: int,
    split_salt: str = SPLIT_SALT,
    workers: Workers = 1,
    track: Track = silent,
) -> StoreRecord:
    """Simulate a hospital with the digital phantom and write its store, with ``truth.npz``: where each finding sits.

    ``truth.npz`` has one entry per finding: the mean mask, float32 (T, T) in [0, 1], T = min(resolution, 128), over the
    site's first TRUTH_EXAMS exams with the finding. `phantom.render` gives the mask of a single exam.
    """
    resolutions = ladder(resolution, least=phantom.RESOLUTIONS[0])
    request = _request(
        name=f"phantom-{site}",
        source=PHANTOM,
        findings=phantom.FINDINGS,
        resolutions=resolutions,
        label_policy="as-given",
        fit="crop",
        split_salt=split_salt,
        absent=0,
        key_fingerprint=phantom_fingerprint(site=site, seed=seed),
        identity=[patients, site, seed],
    )
    with alone_in(out, private=True):
        require_own_folder(out)
        if (done := _already_there(out, request)) is not None:
            return done
        exams = phantom.draw_exams(patients, site=site, seed=seed)
        require_free_space(out, len(exams), resolution)
        prepare = partial(_render, resolutions=resolutions, site=site, salt=split_salt)
        writer = StoreWriter.begin(out, request)
        if not (out / TRUTH_FILE).is_file():
            _write_truth(out, exams, min(resolution, 128), workers)
        _fill(writer, prepare, exams, [], workers, track, "Simulating films")
        return writer.finish()


def _fill(
    writer: StoreWriter,
    prepare: Callable[[Sequence[Any]], Block],
    items: Sequence[Any],
    refused: list[RejectedImage],
    workers: Workers,
    track: Track,
    description: str,
    *,
    threads: bool = False,
) -> None:
    """Prepare the items that the writer does not have yet, block by block; the first block includes `refused`."""
    of_listing = len(refused) if writer.blocks_done else 0
    done = len(writer.images) + len(writer.rejected) - of_listing
    size = max(1, min(BLOCK_IMAGES, BLOCK_BYTES // writer.request.resolutions[-1] ** 2, len(items) // FEWEST_BLOCKS))
    left = [items[start : start + size] for start in range(done, len(items), size)]
    with (
        track(description, total=len(items), done=done) as advance,
        in_order(prepare, [(block,) for block in left], workers=workers, threads=threads) as prepared,
    ):
        for items_of_block, block in zip(left, prepared, strict=True):
            if not writer.blocks_done:
                block.rejected[:0] = refused
            writer.append(block)
            advance(len(items_of_block))


def _prepare(
    candidates: Sequence[Candidate],
    *,
    resolutions: tuple[int, ...],
    fit: Fit,
    declared: Declared = NOTHING_DECLARED,
    most_coloured_percent: float = MOST_COLOURED_PERCENT,
    folder: Path | None,
    caller: int,
) -> Block:
    """Read one block of candidates, which already have pseudonyms; on another machine all are in `folder`.

    `caller` is the importing process; we do not change its memory settings.
    """
    if folder is not None:
        require_folder(folder)
    if os.getpid() != caller:
        keep_freed_memory()
    images: list[StoredImage] = []
    tops: list[np.ndarray] = []
    rejected: list[RejectedImage] = []
    for candidate in candidates:
        try:
            film = read(
                candidate.path,
                declared=declared,
                before=candidate.decision,
                most_coloured_percent=most_coloured_percent,
            )
            squared = square(film.pixels, resolutions[-1], fit=fit)
        except ImageRefused as reason:
            rejected.append(RejectedImage(candidate.row, candidate.image, str(reason)))
            continue
        assert candidate.part is not None  # `ingest` split the listing
        tops.append(squared.pixels)
        digest = pixels_digest(film.pixels)
        as_read = squared.pixels.shape == film.pixels.shape  # neither cut nor resized
        images.append(
            StoredImage(
                image_id=candidate.image,
                patient=candidate.patient,
                split=candidate.part,
                view=candidate.view or film.view,
                age=candidate.age_years if candidate.age_years is not None else film.age_years,
                sex=candidate.sex or film.sex,
                labels=candidate.labels,
                sha256=digest,
                stored_sha256=digest if as_read else pixels_digest(squared.pixels),
                upsampled=squared.upsampled,
                declared=film.declared or candidate.decision.declared,
            )
        )
    return Block(pyramid(np.stack(tops)) if tops else {}, images, rejected)


def _render(exams: Sequence[phantom.Exam], *, resolutions: tuple[int, ...], site: str, salt: str) -> Block:
    tops, _ = phantom.render(exams, resolutions[-1])
    images = []
    for exam, top in zip(exams, tops, strict=True):
        patient = f"{site}-{exam.patient:06d}"
        digest = pixels_digest(top)
        images.append(
            StoredImage(
                image_id=f"{patient}-{exam.index}",
                patient=patient,
                split=part_by_hash(patient, salt=salt),
                view=exam.view,
                age=exam.age_years,
                sex=exam.sex,
                labels=exam.labels,
                sha256=digest,
                stored_sha256=digest,
            )
        )
    return Block(pyramid(tops), images, [])


def _write_truth(out: Path, exams: Sequence[phantom.Exam], side: int, workers: Workers) -> None:
    having = {f: [e for e in exams if e.labels[i]][:TRUTH_EXAMS] for i, f in enumerate(phantom.FINDINGS)}
    jobs = [(chosen, finding, side) for finding, chosen in having.items() if chosen]
    with in_order(_mean_mask, jobs, workers=workers) as masks:
        found = dict(masks)
    write_arrays(out / TRUTH_FILE, **found)


def _mean_mask(exams: Sequence[phantom.Exam], finding: str, side: int) -> tuple[str, np.ndarray]:
    _, masks = phantom.render(exams, side)
    mean: np.ndarray = masks[:, phantom.FINDINGS.index(finding)].mean(axis=0, dtype=np.float32)
    return finding, mean


def _key(path: Path, out: Path) -> bytes:
    """The key of the pseudonyms; raises PathMissing if an existing store needs its key and the key is missing."""
    if not path.exists():
        if import_begun(out):
            raise PathMissing(f"{path} does not exist and {out} was imported with a key; restore it, or pass its --key")
        if path.parent != out and not path.parent.is_dir():
            raise PathMissing(f"{path.parent} is not a folder; make it, or choose another --key")
    return load_or_create_key(path)


def _identities(candidates: Sequence[Candidate], listing: Listing) -> list[Any]:
    """The whole content of a listing, with pseudonyms, for the digest of the request."""
    return [
        [
            [c.row, c.image, c.patient, c.labels, c.view, c.age_years, c.sex, c.part, c.decision.decided]
            for c in candidates
        ],
        [[r.row, r.reason] for r in listing.refusals],
        listing.declared.as_lists(),
    ]


def _request(*, identity: Any, key_fingerprint: str, **fields: Any) -> Request:
    text = json.dumps([fields, identity], sort_keys=True)  # the identity already includes the key
    return Request(**fields, key_fingerprint=key_fingerprint, sha256=hashlib.sha256(text.encode()).hexdigest())


def _already_there(out: Path, request: Request) -> StoreRecord | None:
    """The record of a finished store of the same request; raises PathInUse for a finished store of another request."""
    if not (out / "store.json").is_file():
        return None
    record = Store.open(out).record
    request.claim(out, {**record.model_dump(mode="json"), "sha256": record.request_sha256})
    forget_journal(out)  # in case the import was killed before it removed the journal
    return record
