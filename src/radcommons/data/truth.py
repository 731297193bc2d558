"""Where the findings of a phantom store sit: the ``truth.npz`` that ``radcommons data phantom`` leaves."""

import numpy as np

from radcommons.data.boxes import resized_heat
from radcommons.data.store import Store
from radcommons.data.store_folder import TRUTH_FILE
from radcommons.errors import StoreRefused
from radcommons.files import read_arrays


def read_truth(store: Store, side: int) -> dict[str, np.ndarray]:
    """Share of a finding's phantom films in which it covers each pixel, float64 (side, side), by finding.

    Raises:
        StoreRefused: the store is of real films, whose truth nobody knows, or its file is damaged.
    """
    path = store.path / TRUTH_FILE
    if not path.is_file():
        raise StoreRefused(
            f"{store.path} is not a phantom: it has no {TRUTH_FILE}; "
            "for films of NIH ChestX-ray14 pass --boxes BBox_List_2017.csv, or leave --store out"
        )
    heats = read_arrays(path)
    if heats is None:
        raise StoreRefused(f"{path} is damaged; make the phantom again, to a new folder")
    return {name: resized_heat(heat, side) for name, heat in heats.items() if heat.any()}
