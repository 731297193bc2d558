"""Ray: its own joblib backend, over its client port (``ray start`` opens 10001)."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from platform import python_version
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a hospital's machine tells nobody that it works

import ray
from ray.util.joblib.ray_backend import RayBackend
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from radcommons.cluster.address import Address
from radcommons.cluster.opening import PACKAGES, SECONDS_TO_REACH, Cluster, refuse_other_versions
from radcommons.errors import ClusterRefused, WorkerKilled

RESTARTED = {"max_restarts": -1, "max_task_retries": -1}  # by Ray, with the jobs it had, where a worker is killed


class _Backend(RayBackend):  # type: ignore[misc]  # Ray is not typed
    """Ray's backend; joblib turns generators off for its parent, a local pool, and they work for Ray's."""

    supports_return_generator = True


@contextmanager
def connect(address: Address) -> Iterator[Cluster]:
    """Open a Ray cluster; see `open_cluster`."""
    _reach(address)
    try:
        ray.init(address.of_engine, logging_level=logging.CRITICAL, log_to_driver=False)
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: another version of Ray or Python
        raise ClusterRefused(f"{address}: Ray does not take this machine: {' '.join(str(error).split())}") from None
    try:
        machines = {f"machine {node['NodeManagerAddress']}": _versions(node) for node in ray.nodes() if node["Alive"]}
        refuse_other_versions(address, machines)
        if _cores() < 2:
            raise ClusterRefused(f"{address} has {_cores()} CPU; a cluster has 2 or more, work here without --cluster")
        lost = (ray.exceptions.RayError, ConnectionError)
        yield Cluster(address, _Backend(ray_remote_args=RESTARTED), _cores, lost)
    except Exception:
        if ray.is_initialized():
            raise
        raise WorkerKilled(f"{address} was lost; see to it, then run the same command again to continue") from None
    finally:
        ray.shutdown()


def _reach(address: Address) -> None:
    try:
        socket.create_connection((address.host, address.port), SECONDS_TO_REACH).close()
    except OSError:
        raise ClusterRefused(
            f"nothing answers at {address} within {SECONDS_TO_REACH} seconds; "
            f"check the address, or start one with 'ray start --head --ray-client-server-port {address.port}'"
        ) from None


def _versions(node: dict[str, Any]) -> dict[str, str | None]:
    """Versions of a machine, asked with functions of the standard library, which it has in any case."""
    here = NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)

    def ask(function: Any, *arguments: str) -> Any:
        try:
            return ray.get(ray.remote(num_cpus=0, scheduling_strategy=here)(function).remote(*arguments))
        except ModuleNotFoundError:  # PackageNotFoundError is one
            return None

    return {"python": ask(python_version), **{package: ask(version, package) for package in PACKAGES}}


def _cores() -> int:
    return int(ray.cluster_resources().get("CPU", 0))
