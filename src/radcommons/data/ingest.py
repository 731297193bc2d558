"""From a listing (or a phantom site) to a store: parallel over processes, in order, resumable.

Workers read, square and shrink; one writer appends their blocks. Nothing but pseudonyms passes the writer.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import joblib
import numpy as np

from radcommons.data import phantom
from radcommons.data.listing import Candidate, Listing
from radcommons.data.pixels import Fit, pyramid, read, square
from radcommons.data.pseudonyms import load_or_create_key, pseudonym
from radcommons.data.split import SplitLists, part_by_hash, with_split
from radcommons.data.store import JOURNAL_FOLDER, Store, pixels_digest
from radcommons.data.store_writer import (
    Block,
    RejectedImage,
    Request,
    StoredImage,
    StoreWriter,
    require_free_space,
)
from radcommons.errors import ImageRefused, PathInUse, SettingRefused
from radcommons.progress import Track, silent
from radcommons.records import StoreRecord

BLOCK_BYTES = 8 * 2**20  # pixels of the largest resolution that one job returns
SPLIT_SALT = "radcommons-1"
TRUTH_EXAMS = 40


def ladder(resolution: int) -> tuple[int, ...]:
    """4, 8, ... `resolution`; raises SettingRefused for anything but a power of two in 4 .. 1024."""
    if not 4 <= resolution <= 1024 or resolution & (resolution - 1):
        raise SettingRefused(f"resolution is {resolution}; it must be a power of two from 4 to 1024")
    return tuple(2**k for k in range(2, resolution.bit_length()))


def ingest(
    listing: Listing,
    out: Path,
    *,
    name: str,
    resolution: int,
    fit: Fit = "crop",
    split_salt: str = SPLIT_SALT,
    split_lists: SplitLists | None = None,
    key_file: Path | None = None,
    workers: int = 1,
    track: Track = silent,
) -> StoreRecord:
    """Import everything a source lists; the same call after a kill goes on, after the end does nothing.

    Args:
        listing: what a source offers.
        out: folder of the store.
        name: the site's name.
        resolution: side of the largest stored images, pixels.
        fit: how a film becomes square.
        split_salt: salt of the patient hash that makes the split.
        split_lists: official parts instead of the hash.
        key_file: secret of the pseudonyms; made on first use, by default inside the store.
        workers: processes that read images.
    Raises:
        PathInUse: `out` holds something else.  DiskFull, NothingToImport.
    """
    resolutions = ladder(resolution)
    listing = with_split(listing, split_lists, salt=split_salt)
    if out.exists() and not out.is_dir():
        raise PathInUse(f"{out} is a file; name a folder for the store")
    out.mkdir(parents=True, exist_ok=True)
    key = load_or_create_key(key_file or out / "pseudonym.key")
    request = _request(
        name=name,
        source=listing.source,
        findings=listing.findings,
        resolutions=resolutions,
        label_policy=listing.label_policy,
        fit=fit,
        split_salt=split_salt,
        absent=listing.absent,
        identity=[
            [pseudonym("", key=key)],
            [[c.row, pseudonym(c.image, key=key), c.labels, c.part] for c in listing.candidates],
            [[r.row, r.reason] for r in listing.refusals],
        ],
    )
    if (done := _already_there(out, request)) is not None:
        return done
    require_free_space(out, len(listing.candidates), resolution)
    refused = [RejectedImage(r.row, pseudonym(r.image, key=key), r.reason) for r in listing.refusals]
    prepare = partial(_prepare, refused=refused, resolutions=resolutions, fit=fit, key=key)
    return _fill(out, request, prepare, listing.candidates, workers=workers, track=track, description="Importing")


def ingest_phantoms(
    out: Path,
    *,
    patients: int,
    site: str,
    resolution: int,
    seed: int,
    split_salt: str = SPLIT_SALT,
    workers: int = 1,
    track: Track = silent,
) -> StoreRecord:
    """Draw a phantom hospital straight into a store, with ``truth.npz``: where each finding sits.

    ``truth.npz`` holds for each finding the mean mask, float32 (T, T) in [0, 1], T = min(resolution, 128), over the
    site's first TRUTH_EXAMS exams that have the finding; no entry for a finding that none has. The mask of a single
    exam comes from `phantom.render`.
    """
    resolutions = ladder(resolution)
    request = _request(
        name=f"phantom-{site}",
        source="phantom",
        findings=phantom.FINDINGS,
        resolutions=resolutions,
        label_policy="as-given",
        fit="crop",
        split_salt=split_salt,
        absent=0,
        identity=[patients, site, seed],
    )
    if (done := _already_there(out, request)) is not None:
        return done
    exams = phantom.draw_exams(patients, site=site, seed=seed)
    require_free_space(out, len(exams), resolution)
    prepare = partial(_render, resolutions=resolutions, site=site, salt=split_salt)
    _write_truth(out, exams, min(resolution, 128), workers)
    return _fill(out, request, prepare, exams, workers=workers, track=track, description="Drawing phantoms")


def _fill(
    out: Path,
    request: Request,
    prepare: Callable[[int, Sequence[Any]], Block],
    items: Sequence[Any],
    *,
    workers: int,
    track: Track,
    description: str,
) -> StoreRecord:
    size = max(1, BLOCK_BYTES // request.resolutions[-1] ** 2)
    size = min(size, 64)
    starts = range(0, max(1, len(items)), size)
    writer = StoreWriter.begin(out, request)
    left = starts[writer.blocks_done :]
    with track(description, total=len(items), done=min(len(items), writer.blocks_done * size)) as advance:
        jobs = (joblib.delayed(prepare)(start, items[start : start + size]) for start in left)
        blocks: Iterable[Block] = joblib.Parallel(n_jobs=workers, return_as="generator")(jobs)
        for start, block in zip(left, blocks, strict=True):
            writer.append(block)
            advance(len(items[start : start + size]))
    return writer.finish()


def _prepare(
    first: int,
    candidates: Sequence[Candidate],
    *,
    refused: Sequence[RejectedImage],
    resolutions: tuple[int, ...],
    fit: Fit,
    key: bytes,
) -> Block:
    """Read one block of candidates; the first block also carries what the listing refused."""
    cv2.setNumThreads(1)
    images: list[StoredImage] = []
    tops: list[np.ndarray] = []
    rejected = list(refused) if first == 0 else []
    for candidate in candidates:
        image_id = pseudonym(candidate.image, key=key)
        try:
            film = read(candidate.path)
            squared = square(film.pixels, resolutions[-1], fit=fit)
        except ImageRefused as reason:
            rejected.append(RejectedImage(candidate.row, image_id, str(reason)))
            continue
        assert candidate.part is not None  # `ingest` split the listing
        tops.append(squared.pixels)
        images.append(
            StoredImage(
                image_id=image_id,
                patient=pseudonym(candidate.patient, key=key),
                split=candidate.part,
                view=candidate.view or film.view,
                age=candidate.age_years if candidate.age_years is not None else film.age_years,
                sex=candidate.sex or film.sex,
                labels=candidate.labels,
                sha256=pixels_digest(film.pixels),
                stored_sha256=pixels_digest(squared.pixels),
                upsampled=squared.upsampled,
            )
        )
    levels = _levels(np.stack(tops)) if tops else {}
    return Block(levels, images, rejected)


def _render(first: int, exams: Sequence[phantom.Exam], *, resolutions: tuple[int, ...], site: str, salt: str) -> Block:
    cv2.setNumThreads(1)
    del first
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
    return Block(_levels(tops), images, [])


def _write_truth(out: Path, exams: Sequence[phantom.Exam], side: int, workers: int) -> None:
    having = {f: [e for e in exams if e.labels[i]][:TRUTH_EXAMS] for i, f in enumerate(phantom.FINDINGS)}
    jobs = (joblib.delayed(_mean_mask)(chosen, finding, side) for finding, chosen in having.items() if chosen)
    masks = dict(joblib.Parallel(n_jobs=workers)(jobs))
    out.mkdir(parents=True, exist_ok=True)
    temporary = out / "truth.partial.npz"
    np.savez_compressed(temporary, allow_pickle=False, **masks)
    temporary.replace(out / "truth.npz")


def _mean_mask(exams: Sequence[phantom.Exam], finding: str, side: int) -> tuple[str, np.ndarray]:
    cv2.setNumThreads(1)
    _, masks = phantom.render(exams, side)
    mean: np.ndarray = masks[:, phantom.FINDINGS.index(finding)].mean(axis=0, dtype=np.float32)
    return finding, mean


def _levels(tops: np.ndarray) -> dict[int, np.ndarray]:
    return {**pyramid(tops), tops.shape[-1]: tops}


def _request(*, identity: Any, **fields: Any) -> Request:
    text = json.dumps([fields, identity], default=str, sort_keys=True)
    return Request(**fields, sha256=hashlib.sha256(text.encode()).hexdigest())


def _already_there(out: Path, request: Request) -> StoreRecord | None:
    """The record of a finished store of the same request; raises PathInUse for a finished other one."""
    if not (out / "store.json").is_file() or (out / JOURNAL_FOLDER).is_dir():
        return None
    record = Store.open(out).record
    if record.request_sha256 != request.sha256:
        raise PathInUse(f"{out} is a finished store of other data or settings; choose another --out")
    return record
