"""Opens a running Dask cluster: reached within seconds, with workers, and with the same versions on every machine.

joblib's own backend sends it the work; here it ends with an error in three cases in which it would wait for ever.
"""

import asyncio
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import Any

from joblib._dask import DaskDistributedBackend

from radcommons.cluster.address import Address, Cluster
from radcommons.errors import ClusterRefused

try:
    import distributed
    from distributed.versions import VersionMismatchWarning
except ModuleNotFoundError:
    raise ClusterRefused(
        "--cluster needs the extra 'dask'; run: pip install 'radcommons[dask]', here and on every worker"
    ) from None

SECONDS_TO_REACH = 5  # a scheduler, and then its first worker
SECONDS_WITHOUT_WORKERS = 60.0  # before work gives up; a supervisor starts a killed worker again within seconds
SECONDS_BETWEEN_LOOKS = 1.0
PACKAGES = (  # that decide what a job returns
    "radcommons",
    "torch",
    "numpy",
    "opencv-python-headless",
    "pydicom",
    "imagecodecs",
    "simplejpeg",
)


class WorkersGone(Exception):
    """A cluster has had no worker for too long."""


@contextmanager
def open_cluster(address: Address | str) -> Iterator[Cluster]:
    """Connect to a cluster; it keeps running afterwards.

    Raises:
        ClusterRefused: the address is malformed, nothing answers there, the cluster has no worker, or one of its
            machines has other versions.
    """
    where = address if isinstance(address, Address) else Address.parse(address)
    with _quiet(), _client(where) as client:
        try:
            client.wait_for_workers(1, timeout=SECONDS_TO_REACH)
        except TimeoutError:
            start = f"start one with 'dask worker {where.of_dask}'"
            raise ClusterRefused(f"{where} has no worker; {start}, then run the same command again") from None
        found = client.get_versions(packages=PACKAGES)
        machines = {"the scheduler": found["scheduler"], **{f"worker {k}": v for k, v in found["workers"].items()}}
        refuse_other_versions(where, {name: versions["packages"] for name, versions in machines.items()})
        backend = _Backend(client=client)
        lost = (WorkersGone, distributed.KilledWorker, CancelledError, asyncio.CancelledError)
        yield Cluster(where, backend, backend.cores, lost)


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
    """Versions of this process: "python", and every one of PACKAGES that is installed."""
    found = {"python": python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _release(package: str, found: str | None) -> str | None:
    """What has to be equal: of Python 3.11, of torch 2.13.0+cpu the 2.13.0."""
    if found is None:
        return None
    return ".".join(found.split(".")[:2]) if package == "python" else found.partition("+")[0]


def _client(address: Address) -> Any:
    of_this_machine = distributed.Security().get_connection_args("client")
    if address.scheme == "dask+tls" and of_this_machine["ssl_context"] is None:
        raise ClusterRefused(
            f"{address}: Dask has no certificates here; name them in its settings under distributed.comm.tls"
        )
    try:
        return distributed.Client(address.of_dask, timeout=SECONDS_TO_REACH, set_as_default=False)
    except OSError:
        raise ClusterRefused(
            f"no Dask scheduler answers at {address} within {SECONDS_TO_REACH} seconds; "
            f"check the address, or start one with 'dask scheduler --port {address.port}'"
        ) from None


class _Backend(DaskDistributedBackend):  # type: ignore[misc]  # joblib is not typed
    """joblib's backend with three of its gaps closed, each a wait for ever or work in the wrong place."""

    _call: object | None = None  # the one under way

    def effective_n_jobs(self, n_jobs: int) -> int:
        """Cores of the cluster, but never 1: joblib would then work in this process."""
        return max(2, self.cores())

    def cores(self) -> int:
        """Cores of the cluster, 0 while it has no worker; raises WorkersGone where the scheduler is gone."""
        try:
            return sum(self.client.ncores().values())
        except OSError:
            raise WorkersGone from None

    def submit(self, func: Callable[..., Any], callback: Callable[[Any], Any] | None = None) -> "Future[Any]":
        """Send a batch of jobs; an error of Dask's own reaches joblib, which otherwise waits on."""

        def on_error(future: "Future[Any]") -> None:
            if (error := future.exception()) is not None and callback is not None:
                callback(error)

        future: Future[Any] = super().submit(func, callback)
        future.add_done_callback(on_error)
        return future

    def start_call(self) -> None:
        """Begin one call of Parallel, watched for a cluster without workers."""
        super().start_call()
        self._call = object()
        self.client.loop.add_callback(self._watch, self._call)

    def stop_call(self) -> None:
        """End it."""
        super().stop_call()
        self._call = None

    async def _watch(self, call: object) -> None:
        seen = time.monotonic()
        while self._call is call:
            with suppress(OSError):  # no answer counts as no worker
                seen = time.monotonic() if await self.client.scheduler.ncores() else seen
            if time.monotonic() - seen > SECONDS_WITHOUT_WORKERS:
                for callback in list(self._callbacks.values()):
                    callback(WorkersGone())
                return
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Dask's own log lines: RadCommons reports each problem once."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client", "tornado.application")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VersionMismatchWarning)
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
