"""Reference statistics on disk: one .npz file with the record as JSON bytes and the arrays of each side; no pickle."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import ValidationError

from radcommons.errors import ReferenceRefused
from radcommons.files import read_arrays, write_arrays
from radcommons.records import ReferenceRecord

RECORD = "record"
ARRAYS = ("mean", "components", "variances", "rest")


@dataclass(frozen=True)
class ReferenceStatistics:
    """What films look like to an extractor, as numbers: the record and, by side, the arrays of a smoothed Gaussian."""

    record: ReferenceRecord
    arrays: dict[int, dict[str, np.ndarray]]

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        named = {f"{name}_{side}": values[name] for side, values in self.arrays.items() for name in ARRAYS}
        record = np.frombuffer(self.record.to_json().encode(), np.uint8)
        write_arrays(path, **{RECORD: record}, **named)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file.

        Raises:
            ReferenceRefused: it is missing or damaged, or its arrays do not fit its record.
        """
        refused = ReferenceRefused(
            f"{path} is not a whole file of reference statistics; make one with 'radcommons reference'"
        )
        found = read_arrays(path)
        if found is None or RECORD not in found:
            raise refused
        try:
            record = ReferenceRecord.model_validate_json(found.pop(RECORD).tobytes())
            sides = [each.side for each in record.sides]
            arrays = {side: {name: found.pop(f"{name}_{side}") for name in ARRAYS} for side in sides}
        except (ValidationError, KeyError):
            raise refused from None
        shapes = {
            "mean": (record.dimension,),
            "components": (record.components, record.dimension),
            "variances": (record.components,),
            "rest": (),
        }
        for values in arrays.values():
            fit = all(
                values[name].shape == shape and values[name].dtype == np.float64 for name, shape in shapes.items()
            )
            if (
                not fit
                or not all(np.isfinite(array).all() for array in values.values())
                or values["variances"].min() < 0
            ):
                raise refused
        if found:
            raise refused
        return cls(record, arrays)
