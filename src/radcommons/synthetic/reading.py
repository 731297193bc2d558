"""Reads a finished synthetic set, one image at a time."""

import io
import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import numpy as np
import pydicom
from PIL import Image
from pydicom.errors import InvalidDicomError

from radcommons.errors import ImageRefused, PathMissing, SetRefused
from radcommons.synthetic.tables import FORMAT_VERSION, PROVENANCE, image_name, is_complete, read_labels, request_of


@dataclass(frozen=True, slots=True)
class SyntheticSet:
    """A finished synthetic set; images are read when asked for.

    Attributes:
        path: the set's folder.
        findings: names of the label columns.
        resolution: R, pixels a side.
        labels: float32 (n, F), each in [0, 1]; NaN where the image's generator does not know the finding.
        provenance: what provenance.json says of the whole set (generators, seed, format, ...), without
            its list of images.
    """

    path: Path
    findings: tuple[str, ...]
    resolution: int
    labels: np.ndarray
    provenance: Mapping[str, Any]
    _mapped: np.ndarray | None = field(default=None, repr=False)

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open the set in folder `path`.

        Raises:
            PathMissing: there is no such folder.
            SetRefused: not a synthetic set, unfinished, of another version or damaged.
        """
        path = Path(path)
        if not path.is_dir():
            raise PathMissing(f"{path} is not a folder; a synthetic set is the folder that 'generate --out' wrote")
        if not is_complete(path):
            raise SetRefused(
                f"{path} is not a finished synthetic set: it has no provenance.json; "
                "run the command that began it again"
            )
        try:
            head = request_of(path / "provenance.json")
            version = head.get("format_version")
            if version != FORMAT_VERSION:
                raise SetRefused(
                    f"{path} is a synthetic set of format version {version} and this program reads "
                    f"{FORMAT_VERSION}; generate it again"
                )
            findings = tuple(head["findings"])
            labels = read_labels(path / "labels.csv", len(findings))
            mapped = _map_images(path / "images.npz") if head["format"] == "npz" else None
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise SetRefused(f"{path} is a damaged synthetic set ({error}); generate it again") from None
        if labels.shape[0] != head["count"]:
            raise SetRefused(
                f"{path} is a damaged synthetic set: labels.csv has {len(labels)} rows and provenance.json counts "
                f"{head['count']} images; generate it again"
            )
        return cls(path, findings, head["resolution"], labels, head, mapped)

    def __len__(self) -> int:
        return len(self.labels)

    def drawn_by(self) -> list[str | None]:
        """Digest of the generator of each image; None where it is no SHA-256. Raises SetRefused where it is damaged."""
        path = self.path / PROVENANCE
        try:
            digests = [one["digest"] for one in self.provenance["generators"]]
            drawn = [digests[one["generator"]] for one in json.loads(path.read_bytes())["images"]]
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            raise SetRefused(f"{path} does not say which generator drew which image; generate the set again") from None
        return [one if re.fullmatch("[0-9a-f]{64}", str(one)) else None for one in drawn]

    def image(self, index: int) -> np.ndarray:
        """Image `index`, uint8 (R, R); raises ImageRefused where its file is missing or damaged."""
        if self._mapped is not None:
            return np.array(self._mapped[index])
        path = self.path / image_name(index, self.provenance["format"])
        try:
            if path.suffix == ".dcm":
                return np.array(pydicom.dcmread(path).pixel_array)
            with Image.open(path) as image:
                return np.array(image)
        except (OSError, EOFError, ValueError, AttributeError, SyntaxError, InvalidDicomError):
            raise ImageRefused(f"{path} is missing or damaged; generate the set again") from None


def _map_images(path: Path) -> np.ndarray:
    """The images of an uncompressed .npz file, uint8 (n, R, R), memory-mapped, read-only."""
    with ZipFile(path) as archive:
        member = archive.getinfo("images.npy")
    if member.compress_type != ZIP_STORED:
        raise ValueError(f"{path.name} is compressed")
    with path.open("rb") as file:
        file.seek(member.header_offset + 26)  # the local header: two lengths, then name and extra field
        name_bytes, extra_bytes = struct.unpack("<HH", file.read(4))
        file.seek(name_bytes + extra_bytes, io.SEEK_CUR)
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        return np.memmap(path, dtype, "r", file.tell(), shape)
