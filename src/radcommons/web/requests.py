"""Every request leaves one line in the log and one count in the metrics; neither holds a token or a query."""

import json
import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

logger = logging.getLogger("radcommons.requests")

REQUESTS = Counter("radcommons_requests", "Requests by view and status", ["view", "status"])
SECONDS = Histogram("radcommons_request_seconds", "Seconds until the answer begins", ["view"])
QUIET = ("healthz", "metrics")  # asked every few seconds
WITH_SECRET = ("welcome", "invitation", "image")  # views whose path holds a secret
OF_PROCESSES = "PROMETHEUS_MULTIPROC_DIR"  # environment: the folder through which processes add up their counts
THIS_MACHINE = ("127.0.0.1", "::1", "")  # "" for a Unix socket


class LogRequests:
    """Middleware: method, path, status and milliseconds of every request."""

    def __init__(self, answer: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.answer = answer

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer, then count and log."""
        started = time.perf_counter()
        response = self.answer(request)
        seconds = time.perf_counter() - started
        match = request.resolver_match
        view = (match.view_name or "other") if match else "none"
        REQUESTS.labels(view, response.status_code).inc()
        SECONDS.labels(view).observe(seconds)
        if view not in QUIET:
            fields = {
                "method": request.method,
                "path": match.route if match and view in WITH_SECRET else request.path,
                "status": response.status_code,
                "milliseconds": round(1000 * seconds, 1),
            }
            logger.info("request", extra={"fields": fields})
        return response


class JsonLines(logging.Formatter):
    """A log record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, logger and message, and what the record's `fields` hold."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def site_name(request: HttpRequest) -> dict[str, str]:
    """What every page needs."""
    return {"site_name": settings.SITE_NAME}


def healthz(request: HttpRequest) -> JsonResponse:
    """200 if the database answers, 503 if it does not."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"status": "the database does not answer"}, status=503)
    return JsonResponse({"status": "ok"})


def metrics(request: HttpRequest) -> HttpResponse:
    """Counts for Prometheus, over all server processes; for this machine only, unless the operator opened them."""
    from_here = request.META.get("REMOTE_ADDR", "") in THIS_MACHINE and "X-Forwarded-For" not in request.headers
    if not (from_here or settings.OPEN_METRICS):
        raise Http404
    if OF_PROCESSES in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)


def client_address(request: HttpRequest) -> str:
    """Address of the browser: behind a proxy on this machine, the one that the proxy names."""
    address: str = request.META.get("REMOTE_ADDR", "")
    if not settings.BEHIND_PROXY or address not in THIS_MACHINE:
        return address
    try:
        return ip_address(request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()).compressed
    except ValueError:
        return address
