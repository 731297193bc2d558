"""Start a site: its database at this version, and gunicorn until a signal comes."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from radcommons.folders import PRIVATE
from radcommons.web.site import Site, migrate, open_site

LOCAL = ("localhost", "127.0.0.1", "[::1]")


def ready(site: Site) -> None:
    """Set Django up and bring the database to this version; only the owner may read what is written."""
    os.umask(PRIVATE)
    open_site(site)
    migrate()


@contextmanager
def counted_together() -> Iterator[None]:
    """The server processes add up their counts for /metrics; before anything imports prometheus_client."""
    with tempfile.TemporaryDirectory(prefix="radcommons-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        yield


def address(port: int, hosts: list[str], *, https: bool) -> str:
    """By which address browsers reach the site."""
    name = hosts[0] if hosts else "localhost"
    return f"https://{name}" if https else f"http://{name}:{port}"


def serve(address: str, *, threads: int, processes: int) -> None:
    """Answer requests until a signal comes."""
    from django.core.wsgi import get_wsgi_application
    from django.db import connections
    from gunicorn.app.base import BaseApplication
    from prometheus_client.multiprocess import mark_process_dead

    application = get_wsgi_application()
    connections.close_all()  # none is shared with the server processes

    class Server(BaseApplication):
        def load_config(self) -> None:
            options: Mapping[str, Any] = {
                "bind": address,
                "worker_class": "gthread",
                "workers": processes,
                "threads": threads,
                "preload_app": True,
                "timeout": 120,
                "graceful_timeout": 20,
                "keepalive": 5,
                "limit_request_line": 4094,
                "accesslog": None,
                "loglevel": "warning",
                "forwarded_allow_ips": "127.0.0.1,::1",
                "control_socket_disable": True,
                "child_exit": lambda _, worker: mark_process_dead(worker.pid),
            }
            for name, value in options.items():
                self.cfg.set(name, value)

        def load(self) -> Any:
            return application

    Server().run()
