"""The listening socket of the web server. The supervisor holds it open."""

import errno
import http.client
import socket
import time

from django.utils.translation import gettext as _

from mekiki.config.plain import UserError


class ListenError(UserError):
    """The address cannot be listened on. The message says why and what to do."""


class PortInUseError(ListenError):
    """Another process listens on the port."""


def listen(host: str, port: int, *, patience: float = 0.0) -> socket.socket:
    """Return a socket that listens on host:port. Port 0 chooses a free port.

    Raises PortInUseError if the port is still in use after `patience` seconds, and ListenError for other
    problems.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return _listen(host, port)
        except PortInUseError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.1)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(512)
    except (OSError, OverflowError) as problem:
        if getattr(problem, "errno", None) == errno.EADDRINUSE:
            text = _("Port %(port)s is in use. Use --port or MEKIKI_PORT to choose another.")
            raise PortInUseError(text % {"port": port}) from None
        text = _("Cannot listen on %(host)s:%(port)s: %(problem)s.")
        raise ListenError(text % {"host": host, "port": port, "problem": problem}) from None
    listener.set_inheritable(True)
    return listener


def reachable_host(host: str) -> str:
    """Return a host name that a browser on this machine can open."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104
    return everywhere.get(host, f"[{host}]" if ":" in host else host)


def http_status(host: str, port: int) -> int:
    """Return the HTTP status of the first page, or 0 if the web server does not respond yet."""
    connection = http.client.HTTPConnection(reachable_host(host).strip("[]"), port, timeout=10)
    try:
        connection.request("GET", "/", headers={"Accept": "text/html"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
