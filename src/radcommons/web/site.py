"""A site's settings, made by a function: the folder of its data, its database, and by which names it is called."""

import os
import secrets
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from filelock import FileLock

from radcommons.errors import ExtraMissing, SettingRefused
from radcommons.folders import make_folder
from radcommons.pages import STYLE

try:
    import django
    from csp.constants import NONE, SELF
    from django.conf import settings
except ModuleNotFoundError:
    raise ExtraMissing("a server needs", "hub") from None

SECRET_FILE = "secret.key"
MIGRATION_LOCK = "migrate.lock"
SECONDS_FOR_A_LOCK = 20  # how long a writer waits for another
SECONDS_TO_CONNECT = 5


@dataclass(frozen=True, slots=True)
class Site:
    """Where a server keeps its data, and how it is reached.

    Attributes:
        data: folder of its files and, without `database`, of its SQLite database.
        database: postgresql://USER:PASSWORD@HOST:PORT/NAME; None for SQLite in `data`.
        hosts: names under which browsers may call it.
        https: whether a proxy in front of it speaks TLS: cookies are then sent over TLS only.
        apps: parts with models, pages or commands, e.g. "radcommons.hub".
        urls: module of the addresses.
        open_metrics: whether everybody may read /metrics, not this machine only.
        durable: whether SQLite waits for the disk at every commit, so that a power failure undoes none; slower.
    """

    data: Path
    database: str | None
    hosts: Sequence[str]
    https: bool
    apps: Sequence[str]
    urls: str
    name: str = "RadCommons"
    open_metrics: bool = False
    durable: bool = False


def open_site(site: Site) -> None:
    """Make the folder of the data if it is new, and set Django up for this process; once per process."""
    make_folder(site.data, private=True)
    settings.configure(**django_settings(site))
    django.setup()


def migrate() -> None:
    """Bring the database to the state that this version needs; one process at a time does.

    Raises:
        SettingRefused: the database cannot be reached, or is of another kind than it should be.
    """
    from django.core.management import call_command
    from django.db import Error

    with FileLock(settings.RADCOMMONS_DATA / MIGRATION_LOCK):
        try:
            call_command("migrate", interactive=False, verbosity=0)
        except Error as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise SettingRefused(f"the database cannot be used: {reason}; start it, or correct --database") from None


def django_settings(site: Site) -> dict[str, Any]:
    """All settings of a site, by Django's names."""
    return {
        "DEBUG": False,
        "SECRET_KEY": secret_of(site.data),
        "ALLOWED_HOSTS": list(site.hosts),
        "ROOT_URLCONF": site.urls,
        "INSTALLED_APPS": [
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.messages",
            "django.contrib.staticfiles",
            "axes",
            "csp",
            "django_tasks",
            "django_tasks_db",
            "django_otp",
            "django_otp.plugins.otp_totp",
            "django_otp.plugins.otp_static",
            "radcommons.web",
            *site.apps,
        ],
        "MIDDLEWARE": [
            "radcommons.web.requests.LogRequests",
            "radcommons.web.faults.Faults",
            "django.middleware.security.SecurityMiddleware",
            "whitenoise.middleware.WhiteNoiseMiddleware",
            "csp.middleware.CSPMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
            "axes.middleware.AxesMiddleware",
        ],
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                        "radcommons.web.requests.site_name",
                    ]
                },
            }
        ],
        "DATABASES": {"default": database(site)},
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "AUTHENTICATION_BACKENDS": [
            "axes.backends.AxesStandaloneBackend",
            "django.contrib.auth.backends.ModelBackend",
        ],
        "AUTH_PASSWORD_VALIDATORS": [
            {
                "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
                "OPTIONS": {"min_length": 12},
            },
            {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
            {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
        ],
        "AXES_FAILURE_LIMIT": 8,
        "AXES_COOLOFF_TIME": timedelta(minutes=15),
        "AXES_LOCKOUT_PARAMETERS": [["username", "ip_address"]],
        "AXES_ENABLE_ADMIN": False,
        "AXES_LOCKOUT_TEMPLATE": "web/locked.html",
        "AXES_VERBOSE": False,
        "AXES_CLIENT_IP_CALLABLE": "radcommons.web.requests.client_address",
        "OTP_TOTP_ISSUER": site.name,
        "OTP_ADMIN_HIDE_SENSITIVE_DATA": True,
        "LOGIN_URL": "/login",
        "LOGIN_REDIRECT_URL": "/",
        "LOGOUT_REDIRECT_URL": "/",
        "TASKS": {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": []}},
        "STORAGES": {
            "default": {
                "BACKEND": "radcommons.web.storage.WholeFiles",
                "OPTIONS": {"location": str(site.data / "files"), "file_permissions_mode": 0o600},
            },
            "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
        },
        "STATIC_URL": "/static/",
        "STATICFILES_DIRS": [("pages", STYLE)],
        "WHITENOISE_USE_FINDERS": True,
        "WHITENOISE_AUTOREFRESH": False,
        "USE_TZ": True,
        "TIME_ZONE": "UTC",
        "LANGUAGE_CODE": "en",
        "USE_I18N": False,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_SECURE": site.https,
        "CSRF_COOKIE_SECURE": site.https,
        "CSRF_COOKIE_HTTPONLY": True,
        "CSRF_TRUSTED_ORIGINS": [f"https://{host}" for host in site.hosts if site.https and "*" not in host],
        "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https") if site.https else None,
        "SECURE_SSL_REDIRECT": site.https,
        "SECURE_REDIRECT_EXEMPT": [r"^healthz$", r"^metrics$"],
        "SECURE_HSTS_SECONDS": 31_536_000 if site.https else 0,
        "SECURE_HSTS_INCLUDE_SUBDOMAINS": False,
        "SECURE_HSTS_PRELOAD": False,
        "SECURE_CONTENT_TYPE_NOSNIFF": True,
        "SECURE_REFERRER_POLICY": "same-origin",
        "X_FRAME_OPTIONS": "DENY",
        "CONTENT_SECURITY_POLICY": {
            "DIRECTIVES": {
                "default-src": [NONE],
                "img-src": [SELF],
                "style-src": [SELF],
                "script-src": [SELF],
                "connect-src": [SELF],
                "form-action": [SELF],
                "base-uri": [NONE],
                "frame-ancestors": [NONE],
            }
        },
        "DATA_UPLOAD_MAX_MEMORY_SIZE": 16 * 2**20,  # one piece of an upload
        "FILE_UPLOAD_MAX_MEMORY_SIZE": 16 * 2**20,
        "LOGGING": logging_settings(),
        "SITE_NAME": site.name,
        "SILENCED_SYSTEM_CHECKS": ["security.W005", "security.W021"],  # subdomains and preload are the owner's choice
        "RADCOMMONS_DATA": site.data,
        "BEHIND_PROXY": site.https,
        "OPEN_METRICS": site.open_metrics,
    }


def database(site: Site) -> dict[str, Any]:
    """Django's settings of the database; raises SettingRefused for an address that it cannot read."""
    if site.database is None:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(site.data / "site.sqlite3"),
            "CONN_MAX_AGE": None,  # a thread keeps its connection
            "OPTIONS": {
                "timeout": SECONDS_FOR_A_LOCK,
                "transaction_mode": "IMMEDIATE",  # a write that comes after a read does not fail when another wrote
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON; "
                f"PRAGMA synchronous={'FULL' if site.durable else 'NORMAL'}",
            },
        }
    try:
        url = urlsplit(site.database)
        port = url.port
    except ValueError:
        url, port = urlsplit(""), None
    if url.scheme not in ("postgresql", "postgres") or len(url.path) < 2:
        raise SettingRefused(
            "--database: write it as postgresql://USER:PASSWORD@HOST:PORT/NAME; leave it out for SQLite"
        )
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(url.path[1:]),
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": unquote(url.hostname or ""),
        "PORT": str(port or ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": SECONDS_TO_CONNECT,
            "options": f"-c lock_timeout={1000 * SECONDS_FOR_A_LOCK}",
            **dict(parse_qsl(url.query)),  # e.g. sslmode=verify-full
        },
    }


def secret_of(data: Path) -> str:
    """The key that signs sessions; made at the first start, by one process, for the owner of the files only."""
    path = data / SECRET_FILE
    if not path.is_file():
        handle, made = tempfile.mkstemp(dir=data, prefix=SECRET_FILE)  # readable by its owner only
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(50))
            file.flush()
            os.fsync(handle)
        try:
            os.link(made, path)
        except FileExistsError:  # another process was quicker
            pass
        finally:
            Path(made).unlink()
    return path.read_text(encoding="ascii")


def logging_settings() -> dict[str, Any]:
    """One JSON object a line, on standard error: no header, no body, no query, so no token."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "radcommons.web.requests.JsonLines"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "stream": sys.stderr}},
        "loggers": {
            "radcommons": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
            "django": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
            "django_tasks": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
            "axes": {"handlers": ["stderr"], "level": "ERROR", "propagate": False},
        },
    }
