"""Records that RadCommons writes and reads as JSON, each with its format version.

They import no torch and know no paths.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from radcommons.errors import BadInput

OTHER_VERSION = "other_version"  # the kind of a validation error


class RecordPart(BaseModel):
    """Base of records and of their parts: frozen; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Record(RecordPart):
    """Base of all records: versioned; versions that are neither this one nor in UPGRADES are refused."""

    FORMAT_VERSION: ClassVar[int] = 1
    UPGRADES: ClassVar[Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]]] = {}  # from older versions
    format_version: int = 0

    @model_validator(mode="before")
    @classmethod
    def _stamp(cls, values: Any, info: ValidationInfo) -> Any:
        """Add the version to a new record; JSON must contain it."""
        if not isinstance(values, dict):
            return values
        if info.mode == "json" and "format_version" not in values:
            raise ValueError("there is no format version")
        read = (*cls.UPGRADES, cls.FORMAT_VERSION)
        found = values.get("format_version", cls.FORMAT_VERSION)
        if found not in read:
            raise PydanticCustomError(
                OTHER_VERSION,
                "of format version {found}, this radcommons reads {read}",
                {"found": repr(found), "read": " and ".join(map(str, read))},
            )
        if found != cls.FORMAT_VERSION:
            try:
                values = cls.UPGRADES[found](values)
            except (KeyError, TypeError, AttributeError) as error:
                raise ValueError("it is not a whole record of its format version") from error
        return {**values, "format_version": cls.FORMAT_VERSION}

    @classmethod
    def read(cls, path: Path, *, refused: type[BadInput], remedy: str, other_version: str | None = None) -> Self:
        """The record in a file.

        Args:
            refused: error to raise if it cannot be read: one line that ends with the next step, `remedy`.
            other_version: the next step if it has another version; None = `remedy`.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError:
            raise refused(f"{path} is missing or damaged; {remedy}") from None
        except ValidationError as error:
            first = error.errors()[0]
            if first["type"] == OTHER_VERSION:
                raise refused(f"{path} is {first['msg']}; {other_version or remedy}") from None
            raise refused(f"{path} is damaged; {remedy}") from None

    def to_json(self) -> str:
        """Indented JSON with a final newline."""
        return json.dumps(self.model_dump(mode="json"), indent=2) + "\n"


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
