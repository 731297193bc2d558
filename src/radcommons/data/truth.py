"""Where findings sit in a simulated hospital: ``truth.npz`` from ``radcommons data phantom``."""

import numpy as np

from radcommons.data.boxes import resized_heat
from radcommons.data.store import Store
from radcommons.data.store_folder import TRUTH_FILE
from radcommons.errors import StoreRefused
from radcommons.files import read_arrays


def read_truth(store: Store, side: int) -> dict[str, np.ndarray]:
    """For each finding, the share of its simulated films in which it covers each pixel, float64 (side, side).

    Raises:
        StoreRefused: the store has real films, for which nobody knows the truth, or the file is damaged.
    """
    path = store.path / TRUTH_FILE
    if not path.is_file():
        raise StoreRefused(
            f"{store.path} is not a simulated hospital: it has no {TRUTH_FILE}; "
            "for films of NIH ChestX-ray14 pass --boxes BBox_List_2017.csv, or leave --store out"
        )
    heats = read_arrays(path)
    if heats is None:
        raise StoreRefused(f"{path} is damaged; simulate the hospital again, to a new folder")
    return {name: resized_heat(heat, side) for name, heat in heats.items() if heat.any()}
