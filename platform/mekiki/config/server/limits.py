"""What a request may send: sizes, rates and times of one place. deploy/nginx.conf has the same; a test compares.

`body_limit` is asked before a body is read.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest, parse_cookie
from django.urls import Resolver404, resolve

# A request head (request line and headers) in all.
HEAD_BYTES = 32 * 1024
HEAD_SECONDS = 10.0
# Between two requests on one connection.
IDLE_SECONDS = 5
# A body before anybody is logged in: the login form has less than 1 KB.
ANONYMOUS_BYTES = 16 * 1024
ANONYMOUS_SECONDS = 15.0
# A larger body is read while a thread works on it (addresses that take files).
WHOLE_BYTES = 1024 * 1024
# The longest pause in a body or an answer, and the least bytes a second over its whole length after it.
STALL_SECONDS = 30.0
LEAST_RATE = 2 * 1024
# Connections one process holds. Beyond it the oldest that has not sent its head is closed.
CONNECTIONS = 1000

View = TypeVar("View", bound=Callable[..., Any])


def takes_files(view: View) -> View:
    """Mark a view whose requests may carry files: its body may be as large as an archive."""
    view.takes_files = True  # type: ignore[attr-defined]
    return view


def may_carry_files(path: str) -> bool:
    """Whether the address belongs to a view that takes files."""
    try:
        return bool(getattr(resolve(path).func, "takes_files", False))
    except (Resolver404, ValueError):
        return False


def logged_in(cookies: str) -> bool:
    """Whether a Cookie header holds the session of an active user. Asks the database."""
    from importlib import import_module

    key = parse_cookie(cookies).get(settings.SESSION_COOKIE_NAME)
    if not key:
        return False
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    return get_user(request).is_authenticated


def body_limit(path: str, cookies: str) -> int:
    """Return the bytes a body may have at an address for the holder of these cookies. Asks the database."""
    if not logged_in(cookies):
        return ANONYMOUS_BYTES
    if may_carry_files(path):
        # A form has some bytes around its files, and a part of an upload may hold several.
        return int(settings.MAX_ARCHIVE_BYTES) + settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    return int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
