"""RadCommons: hospitals share what their radiographs teach, without sharing a radiograph.

::

    from radcommons import Generator, Store

    images = Generator.load("runs/site-a").generate(16, findings={"Effusion": 1}, seed=1)
    dataset = images.as_torch_dataset()
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Generator", "Pool", "Store", "SyntheticSet", "__version__"]

if TYPE_CHECKING:
    from radcommons.data.store import Store
    from radcommons.models.generator import Generator
    from radcommons.pool.pool import Pool
    from radcommons.synthetic.reading import SyntheticSet

_HOMES = {
    "Store": "radcommons.data.store",
    "Generator": "radcommons.models.generator",
    "Pool": "radcommons.pool.pool",
    "SyntheticSet": "radcommons.synthetic.reading",
}


def __getattr__(name: str) -> Any:
    """Import a public class when it is first asked for, so that ``import radcommons`` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'radcommons' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
