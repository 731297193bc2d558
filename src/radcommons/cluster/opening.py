"""Opens a running cluster: reached within seconds, with workers, and with the same versions on every machine."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import Any

from radcommons.cluster.address import Address
from radcommons.errors import ClusterRefused

SECONDS_TO_REACH = 5  # a scheduler, and then its first worker
PACKAGES = (  # that decide what a job returns
    "radcommons",
    "torch",
    "numpy",
    "opencv-python-headless",
    "pydicom",
    "pylibjpeg",
    "pylibjpeg-libjpeg",
    "pylibjpeg-openjpeg",
    "pylibjpeg-rle",
)


class WorkersGone(Exception):
    """A cluster has had no worker for too long."""


@dataclass(frozen=True)
class Cluster:
    """An open cluster.

    Attributes:
        address: where it is.
        backend: joblib's, for ``joblib.Parallel(backend=...)``.
        cores: how many jobs it runs at once, now.
        lost: what its engine raises where workers were killed again and again, or the scheduler is gone.
    """

    address: Address
    backend: Any
    cores: Callable[[], int]
    lost: tuple[type[BaseException], ...]


@contextmanager
def open_cluster(address: Address | str) -> Iterator[Cluster]:
    """Connect to a cluster; it goes on running afterwards.

    Raises:
        ClusterRefused: the address is malformed, the extra is not installed, nothing answers there, it has no
            worker, or a machine has other versions.
    """
    where = address if isinstance(address, Address) else Address.parse(address)
    extra = where.scheme.partition("+")[0]
    try:
        if extra == "ray":
            from radcommons.cluster.ray_engine import connect
        else:
            from radcommons.cluster.dask_engine import connect
    except ModuleNotFoundError as error:
        if error.name not in ("distributed", "dask", "ray"):
            raise
        raise ClusterRefused(
            f"{where} needs the extra '{extra}'; run: pip install 'radcommons[{extra}]', here and on every worker"
        ) from None
    with connect(where) as cluster:
        yield cluster


def refuse_other_versions(address: Address, machines: Mapping[str, Mapping[str, str | None]]) -> None:
    """Raise ClusterRefused where a machine's versions differ from this one's.

    Args:
        address: the cluster.
        machines: for each machine its versions: "python", and a distribution's or None where it is absent.
    """
    for machine, found in machines.items():
        for package, here in own_versions().items():
            there = found.get(package)
            if _release(package, there) != _release(package, here):
                has = f"has {package} {there}" if there else f"has no {package}"
                raise ClusterRefused(
                    f"{address}: {machine} {has} and this machine has {here}; install the same versions on both"
                )


def own_versions() -> dict[str, str]:
    """Versions of this process: "python", and every one of PACKAGES."""
    return {"python": python_version(), **{p: found for p in PACKAGES if (found := installed(p)) is not None}}


def installed(package: str) -> str | None:
    """A distribution's version, or None where it is absent."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _release(package: str, found: str | None) -> str | None:
    """What has to be equal: of Python 3.11, of torch 2.13.0+cpu the 2.13.0."""
    if found is None:
        return None
    return ".".join(found.split(".")[:2]) if package == "python" else found.partition("+")[0]
