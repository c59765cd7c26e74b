"""Addresses of the servers of a home: the supervisor writes them, other commands read them."""

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from mekiki.config.env import ConfigurationError
from mekiki.embedded.lock import is_held
from mekiki.embedded.small_files import write_small

# An address that cannot be reached. A command that needs the database while nothing runs then fails at once,
# and its error shows the reason.
NOT_RUNNING = "postgresql://mekiki@/mekiki?host=/nonexistent-start-mekiki-up-first"


@dataclass(frozen=True)
class Endpoints:
    """Addresses of the servers in use, and the process id of the supervisor.

    The process id is 0 if nothing runs.
    """

    database_url: str = NOT_RUNNING
    broker_url: str = "redis+socket:///nonexistent-start-mekiki-up-first"
    web_url: str = ""
    pid: int = 0


def path(home: Path) -> Path:
    """Return the path of the file with the addresses."""
    return home / "run" / "endpoints.json"


def read(home: Path) -> Endpoints:
    """Return the addresses that the running supervisor wrote, or unreachable defaults if none runs.

    The file alone proves nothing, because a copy of a home holds the addresses of the original's servers.
    """
    try:
        stored = Endpoints(**json.loads(path(home).read_text()))
    except (OSError, ValueError, TypeError):
        return Endpoints()
    return stored if is_held(home) else Endpoints()


def write(home: Path, endpoints: Endpoints) -> None:
    """Replace the file with the addresses (0600)."""
    file = path(home)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_small(file, json.dumps(asdict(endpoints)))


def remove(home: Path) -> None:
    """Overwrite the addresses after the servers have stopped. The file keeps its space on the disk."""
    with contextlib.suppress(OSError):
        if path(home).exists():
            write_small(path(home), json.dumps(asdict(Endpoints())))


def database(url: str) -> dict[str, Any]:
    """Return Django's DATABASES entry for a PostgreSQL URL.

    A unix socket is given as `?host=/folder`, as in libpq. Raises Misconfigured for any other scheme. Only
    PostgreSQL is supported: leases need SKIP LOCKED, the audit log needs triggers, search needs vectors.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"postgresql", "postgres"}:
        raise ConfigurationError(
            f"DATABASE_URL must start with postgresql://, not {parts.scheme or url[:20]!r}."
        )
    query = {k: v[-1] for k, v in parse_qs(parts.query).items()}
    host = query.pop("host", "") or unquote(parts.hostname or "")
    port = query.pop("port", "") or str(parts.port or "")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "mekiki",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": port,
        # A new connection costs a login and the plans of all prepared statements, which its first requests
        # notice.
        "CONN_MAX_AGE": 3600,
        "CONN_HEALTH_CHECKS": True,
        # Django's own statements are not prepared, only those of config/compiled.py.
        "OPTIONS": {**query, "prepare_threshold": 5},
    }


def use_servers(endpoints: Endpoints) -> None:
    """Connect Django and Celery of this process to these servers, whatever the loaded settings say."""
    from django.conf import settings
    from django.db import connections

    from mekiki.config.celery import app

    entry = connections.settings["default"]
    entry.update(database(endpoints.database_url))
    connections["default"].close()
    connections["default"].settings_dict.update(entry)
    settings.CELERY_BROKER_URL = endpoints.broker_url
    app.conf.update(
        dict.fromkeys(("broker_url", "broker_read_url", "broker_write_url"), endpoints.broker_url)
    )
