"""Split patients into train, validation and test, by a salted hash or by official lists of images.

A patient's part depends on the patient and the salt only, so images that are imported later get the same part.
"""

import gzip
import hashlib
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from radcommons.data.listing import Candidate, Listing, Part, Refusal
from radcommons.data.sources.image_files import stem
from radcommons.data.sources.tables import IMAGE_NAMES, SPLIT_NAMES, Wanted, read_table
from radcommons.errors import BadInput, PathMissing, TableRefused, nearest_hint

FRACTIONS: Final = (0.7, 0.1, 0.2)  # paper section 7
TRAIN_AND_VAL: Final = (7 / 8, 1 / 8, 0.0)  # the same 7 : 1 if a list gives the test part
NOT_LISTED: Final = "not in the split lists"

Listed = Part | Literal["trainval"]  # the parts in a list; a hash divides "trainval"
_PART_WORDS: dict[str, Listed] = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validate": "val", "validation": "val",
    "dev": "val", "test": "test", "testing": "test", "train_val": "trainval", "trainval": "trainval",
}  # fmt: skip


@dataclass(frozen=True)
class SplitLists:
    """Official lists: image name to "train", "val", "test" or "trainval"; `rest` is for images in no list.

    A name is a path or the end of a path, without its image suffix: ``00000001_000`` or
    ``patient00001/study1/view1_frontal``.
    """

    part_of_name: Mapping[str, Listed]
    rest: Listed | None


def part_by_hash(patient: str, *, salt: str, fractions: Sequence[float] = FRACTIONS) -> Part:
    """The part of a patient.

    Args:
        patient: identifier; only its hash is used.
        salt: any text; another salt gives an independent split.
        fractions: shares of train, val and test, in [0, 1], sum 1.
    Returns:
        The part whose interval of [0, 1) contains the first 64 bits of SHA-256(salt, patient).
    """
    digest = hashlib.sha256(
        b"\0".join((b"radcommons split", salt.encode(), patient.encode(errors="surrogateescape")))
    ).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < fractions[0]:
        return "train"
    if position < fractions[0] + fractions[1] or fractions[2] == 0:
        return "val" if fractions[1] > 0 else "train"
    return "test"


def parts_by_hash(patients: Iterable[str], *, salt: str, fractions: Sequence[float] = FRACTIONS) -> list[Part]:
    """`part_by_hash` of every entry; hashes each patient once."""
    patients = list(patients)
    of_patient = {patient: part_by_hash(patient, salt=salt, fractions=fractions) for patient in set(patients)}
    return [of_patient[patient] for patient in patients]


def read_split_files(paths: Sequence[Path]) -> SplitLists:
    """Read official lists: text files of image names, or CSV files with columns image and split.

    A text file's name gives its part: ``train_val_list.txt.gz``, ``test_list.txt``, ``valid.txt``, ``train.txt``.
    If only a test list is given, the hash divides all other images into train and val.
    Raises PathMissing, TableRefused; BadInput if an image is in two parts.
    """
    part_of_name: dict[str, Listed] = {}
    in_two_parts = 0
    for path in paths:
        for name, part in _read_table(path) if _is_csv(path) else _read_names(path):
            in_two_parts += part_of_name.setdefault(_without_suffix(name), part) != part
    if in_two_parts:
        raise BadInput(f"{in_two_parts} images are in two parts of the split lists; correct the lists")
    test_alone = set(part_of_name.values()) == {"test"}
    return SplitLists(part_of_name, "trainval" if test_alone else None)


def with_split(listing: Listing, lists: SplitLists | None, *, salt: str) -> Listing:
    """`listing` with a part for every candidate: by the lists if given, otherwise by the hash.

    An image in no list is refused, unless the lists name the test part only.
    Raises BadInput if the lists put one patient in two parts.
    """
    if lists is None:
        parts = parts_by_hash((c.patient for c in listing.candidates), salt=salt)
        chosen = [c.placed(part) for c, part in zip(listing.candidates, parts, strict=True)]
        return replace(listing, candidates=chosen)
    hashed = parts_by_hash((c.patient for c in listing.candidates), salt=salt, fractions=TRAIN_AND_VAL)
    placed: list[Candidate] = []
    refusals = list(listing.refusals)
    found = [_listed(lists.part_of_name, candidate) for candidate in listing.candidates]
    by_stem = _by_lone_stem(lists, listing.candidates) if None in found else {}
    for candidate, by_hash, listed in zip(listing.candidates, hashed, found, strict=True):
        word = listed or by_stem.get(stem(candidate.image)) or lists.rest
        if word is None:
            refusals.append(Refusal(candidate.row, candidate.image, NOT_LISTED))
            continue
        placed.append(candidate.placed(by_hash if word == "trainval" else word))
    shared = shared_patients((c.patient, c.part) for c in placed)
    if shared:
        raise BadInput(
            f"the split lists put {shared} patients in two parts; a patient's images must be in one part, so "
            "correct the lists or leave --split out"
        )
    return replace(listing, candidates=placed, refusals=refusals)


def _listed(part_of_name: Mapping[str, Listed], candidate: Candidate) -> Listed | None:
    """The part of an image in the lists, matched by its path or the end of it."""
    return _by_endings(part_of_name, candidate.image) or _by_endings(part_of_name, candidate.path.as_posix())


def _by_endings(part_of_name: Mapping[str, Listed], path: str) -> Listed | None:
    ending = _without_suffix(path)
    while ending:
        if ending in part_of_name:
            return part_of_name[ending]
        ending = ending.partition("/")[2]
    return None


def _by_lone_stem(lists: SplitLists, candidates: Sequence[Candidate]) -> dict[str, Listed]:
    """Parts of names without folders, for names that only one candidate has."""
    stems = Counter(stem(c.image) for c in candidates)
    return {stem(name): word for name, word in lists.part_of_name.items() if stems[stem(name)] == 1}


def _without_suffix(name: str) -> str:
    folder, slash, _ = name.replace("\\", "/").removeprefix("./").rpartition("/")
    return folder + slash + stem(name)


def shared_patients(patients_and_parts: Iterable[tuple[str, Part | None]]) -> int:
    """How many patients have images in more than one part; 0 in every correct split."""
    first_part: dict[str, Part | None] = {}
    shared = {patient for patient, part in patients_and_parts if first_part.setdefault(patient, part) != part}
    return len(shared)


def _is_csv(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith(".csv")


def _read_names(path: Path) -> list[tuple[str, Listed]]:
    part = _part_of_file(path)
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode("utf-8-sig")
    except FileNotFoundError:
        raise PathMissing(f"{path} does not exist") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        raise TableRefused(f"{path.name} is not a text file of image names, plain or gzipped") from None
    names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names:
        raise TableRefused(f"{path.name} names no image")
    return [(name, part) for name in names]


def _part_of_file(path: Path) -> Listed:
    name = path.name.lower().replace("-", "_").replace("train_val", "trainval")
    parts: tuple[Listed, ...] = ("trainval", "test", "val", "train")
    for part in parts:
        if part in name:
            return part
    raise TableRefused(f"{path.name}: the file name must say which part it lists: train_val, train, val or test")


def _read_table(path: Path) -> list[tuple[str, Listed]]:
    table = read_table(path)
    image, split = table.require(Wanted("image", IMAGE_NAMES), Wanted("split", SPLIT_NAMES))
    rows: list[tuple[str, Listed]] = []
    for line, name, word in zip(table.lines, table.cells(image), table.cells(split), strict=True):
        part = _PART_WORDS.get(word.lower().replace("-", "_").replace(" ", "_"))
        if part is None:
            hint = nearest_hint(word, ("train", "val", "test")) if word.isalpha() else "known are train, val, test"
            raise TableRefused(f"{path.name} line {line}: column '{split}' does not name a part; {hint}")
        rows.append((name, part))
    return rows
