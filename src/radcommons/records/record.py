"""Records that RadCommons writes and reads as JSON, each with its format version.

They know neither torch nor where on disk they lie.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator


class Record(BaseModel):
    """Base of all records: frozen, versioned, unknown fields refused."""

    FORMAT_VERSION: ClassVar[int] = 1
    model_config = ConfigDict(extra="forbid", frozen=True)
    format_version: int = 0

    @model_validator(mode="before")
    @classmethod
    def _stamp(cls, values: Any) -> Any:
        return {"format_version": cls.FORMAT_VERSION, **values} if isinstance(values, dict) else values

    def to_json(self) -> str:
        """Indented JSON with a final newline."""
        return json.dumps(self.model_dump(mode="json"), indent=2) + "\n"


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
