"""Run the hub: its site and its worker."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from radcommons.signals import ends_with_parent
from radcommons.web.server import LOCAL
from radcommons.web.site import Site

logger = logging.getLogger(__name__)

DATABASE_VARIABLE = "RADCOMMONS_DATABASE"
LOOK_EVERY = 1.0  # seconds, for a deposit that was submitted
SWEEP_EVERY = 60.0  # seconds, for one that a dead worker left
CLEAN_EVERY = 3600.0  # seconds, of files that nobody needs
RESTART_AFTER = 2.0  # seconds, a worker that ended


def hub_site(
    data: Path, database: str | None, hosts: Sequence[str] = (), *, https: bool = False, open_metrics: bool = False
) -> Site:
    """The hub's site."""
    return Site(
        data=data,
        database=database,
        hosts=(*LOCAL, *hosts),
        https=https,
        apps=("radcommons.hub",),
        urls="radcommons.hub.urls",
        name="RadCommons hub",
        open_metrics=open_metrics,
    )


def work(queue_name: str) -> None:
    """Examine deposits, or draw films for visitors, until a signal comes; a database that is away is waited for."""
    from django.db import DatabaseError, InterfaceError, close_old_connections
    from django.utils.crypto import get_random_string
    from django_tasks_db.management.commands.db_worker import Worker

    from radcommons.hub import drawing
    from radcommons.hub.tasks import begin_again, remove_old

    draws = queue_name == drawing.QUEUE

    queue = Worker(
        queue_names=[queue_name],
        excluded_queue_names=[],
        interval=LOOK_EVERY,
        batch=True,
        backend_name="default",
        startup_delay=False,
        max_tasks=None,
        worker_id=get_random_string(32),
    )
    queue.configure_signals()
    sweep_at = clean_at = time.monotonic()
    while queue.running:
        try:
            if not draws and time.monotonic() >= sweep_at:
                begin_again()
                sweep_at = time.monotonic() + SWEEP_EVERY
            queue.run()  # until the queue is empty
            if time.monotonic() >= clean_at:
                (drawing.remove_old_drawings if draws else remove_old)()
                clean_at = time.monotonic() + CLEAN_EVERY
        except (DatabaseError, InterfaceError, OSError) as error:
            logger.warning("no work for a moment: %s", " ".join(str(error).split()))
            close_old_connections()
            sweep_at = time.monotonic()  # what this broke off is begun again as soon as it can
        if queue.running:
            time.sleep(LOOK_EVERY)


@contextmanager
def worker_beside(data: Path, database: str | None, queue_name: str = "all") -> Iterator[None]:
    """`radcommons hub worker` beside this process: started again when it ends, and ended with this process."""
    ended = threading.Event()
    running: list[subprocess.Popen[bytes]] = []

    def keep() -> None:
        while not ended.is_set():
            running[:] = [_start_worker(data, database, queue_name)]
            if ended.is_set():
                running[0].terminate()
            status = running[0].wait()
            if not ended.wait(RESTART_AFTER):
                logger.warning("the worker ended with status %d; another is started", status)

    keeper = threading.Thread(target=keep, daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        for process in running:
            process.terminate()
        keeper.join()


def _start_worker(data: Path, database: str | None, queue_name: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **({DATABASE_VARIABLE: database} if database else {})}  # no password in `ps`
    environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
    command = [sys.executable, "-m", "radcommons", "hub", "worker", "--data", str(data), "--queue", queue_name]
    return subprocess.Popen(command, env=environment, preexec_fn=ends_with_parent)
