"""Limits of requests: sizes, rates and times.

deploy/nginx.conf has the same limits, and a test compares them. The server calls `body_limit` before it reads
a body.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest, parse_cookie
from django.urls import Resolver404, resolve

# Largest request head: request line and headers together.
HEAD_BYTES = 32 * 1024
HEAD_SECONDS = 10.0
# Longest time between two requests on one connection.
IDLE_SECONDS = 5
# Largest body of a client that is not logged in. The login form has less than 1 KB.
ANONYMOUS_BYTES = 16 * 1024
ANONYMOUS_SECONDS = 15.0
# A larger body is read while a thread processes it, at addresses that take files.
STREAMED_ABOVE_BYTES = 1024 * 1024
# Longest pause in a body or a response. After this time the average rate over the whole length must be at
# least LEAST_RATE bytes per second.
STALL_SECONDS = 30.0
MIN_BYTES_PER_SECOND = 2 * 1024
# Most connections of one process. Beyond this number, the oldest connection without a complete request head
# is closed.
MAX_CONNECTIONS = 1000

View = TypeVar("View", bound=Callable[..., Any])


def takes_files(view: View) -> View:
    """Mark a view whose requests may carry files, so that its body may be as large as an archive."""
    view.takes_files = True  # type: ignore[attr-defined]
    return view


def may_carry_files(path: str) -> bool:
    """Return whether the path belongs to a view that takes files."""
    try:
        return bool(getattr(resolve(path).func, "takes_files", False))
    except (Resolver404, ValueError):
        return False


def logged_in(cookies: str) -> bool:
    """Return whether a Cookie header holds the session of an active user. Queries the database."""
    from importlib import import_module

    key = parse_cookie(cookies).get(settings.SESSION_COOKIE_NAME)
    if not key:
        return False
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    return get_user(request).is_authenticated


def body_limit(path: str, cookies: str) -> int:
    """Return the largest allowed body in bytes, for a path and a Cookie header. Queries the database."""
    if not logged_in(cookies):
        return ANONYMOUS_BYTES
    if may_carry_files(path):
        # A form adds some bytes around its files, and one upload request may hold several files.
        return int(settings.MAX_ARCHIVE_BYTES) + settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    return int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
