"""Download of the files that a manifest names by address, for addresses that nobody has checked.

An address may lead anywhere, so every host name is resolved, every answer of the name server is checked, and
the connection goes to the checked number: a second answer of the name server is never used. The same holds
after every redirect. Private, link-local, loopback and other special networks are refused unless
MEKIKI_IMPORT_NETWORKS lists them.
"""

import contextlib
import http.client
import ipaddress
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote, urljoin, urlsplit

from mekiki.datasets.problems import ProblemError

MAX_REDIRECTS = 5
MAX_TRIES = 3
CONNECT_SECONDS = 10.0
TOTAL_SECONDS = 60.0  # of one try, with all redirects
MAX_PAUSE = 10.0  # seconds before a further try
_RETRIED = {408, 425, 429, 500, 502, 503, 504}
_PIECE = 64 * 1024
_AGENT = "Mekiki"
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], list[str]]


def is_public(address: Address, allowed: tuple[Network, ...] = ()) -> bool:
    """Return whether a file may be fetched from this address.

    An IPv6 address that carries an IPv4 address is judged by both.
    """
    if any(address.version == network.version and address in network for network in allowed):
        return True
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if address.teredo is not None:
            return False
        if inner is not None:
            return is_public(inner, allowed)
        if address.is_site_local:
            return False
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback
    )


def shown_address(address: str) -> str:
    """Return an address for pages and reports: without password, query and fragment, which may be secret."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return address.partition("?")[0][:200]
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}"


def name_of_address(address: str) -> str:
    """Return the name of an image that was fetched: host and path of its address."""
    return shown_address(address).partition("://")[2]


def is_address(location: str) -> bool:
    """Return whether a manifest names a file by an address that can be fetched."""
    return location[:8].lower().startswith(("http://", "https://"))


def _resolve(host: str, port: int) -> list[str]:
    rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in rows))


class _TryAgainError(Exception):
    """A temporary failure. `problem` is the report line if no further try is left."""

    def __init__(self, problem: ProblemError, pause: float = 0.0) -> None:
        super().__init__(problem.code)
        self.problem, self.pause = problem, pause


@dataclass(frozen=True)
class Fetcher:
    """Fetches files by address.

    networks: networks that are allowed although they are not public. limit: bytes of a file. sleep and
    resolve are replaced in tests.
    """

    networks: tuple[Network, ...]
    limit: int
    total_seconds: float = TOTAL_SECONDS
    sleep: Callable[[float], None] = time.sleep
    resolve: Resolve = field(default=_resolve)

    def fetch(self, address: str) -> bytes:
        """Return the bytes at an address.

        Raises ProblemError with one of the codes url_invalid, url_refused, url_redirects, url_status,
        url_unreachable, url_slow, url_encoded and too_large.
        """
        for number in range(MAX_TRIES):
            try:
                return self._once(address)
            except _TryAgainError as failure:
                if number == MAX_TRIES - 1:
                    raise failure.problem from None
                # Waiting times differ, so that many workers do not return at the same moment.
                pause = max(failure.pause, 0.5 * 2**number * (1 + random.random()))  # noqa: S311
                self.sleep(min(MAX_PAUSE, pause))
        raise AssertionError

    def _once(self, address: str) -> bytes:
        deadline = time.monotonic() + self.total_seconds
        for _hop in range(MAX_REDIRECTS + 1):
            with self._opened(address, deadline) as response:
                if response.status in {301, 302, 303, 307, 308} and (to := response.headers.get("Location")):
                    address = urljoin(address, to)
                    continue
                return self._body(response, address, deadline)
        raise ProblemError("url_redirects", limit=MAX_REDIRECTS)

    @contextlib.contextmanager
    def _opened(self, address: str, deadline: float) -> Iterator[http.client.HTTPResponse]:
        """Yield the response to one request, without following a redirect."""
        scheme, host, port, target = _parts(address)
        open_socket = [self._connect(host, port, deadline)]
        # A server that sends one byte now and then never reaches the timeout of a single read.
        watchdog = threading.Timer(max(0.1, deadline - time.monotonic()), _shut, [open_socket])
        watchdog.daemon = True
        watchdog.start()
        connection = http.client.HTTPConnection(host, port)
        try:
            if scheme == "https":
                # The handshake starts when the watchdog knows the new socket.
                open_socket[0] = ssl.create_default_context().wrap_socket(
                    open_socket[0], server_hostname=host, do_handshake_on_connect=False
                )
                open_socket[0].do_handshake()  # type: ignore[attr-defined]
            connection.sock = open_socket[0]
            headers = {"User-Agent": _AGENT, "Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity"}
            connection.request("GET", target, headers={**headers, "Connection": "close"})
            yield connection.getresponse()
        except ssl.SSLCertVerificationError as error:
            raise ProblemError("url_unreachable", host=host, reason=str(error.verify_message)[:200]) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _TryAgainError(_unreachable(host, error, deadline, self.total_seconds)) from None
        finally:
            watchdog.cancel()
            connection.close()
            open_socket[0].close()

    def _connect(self, host: str, port: int, deadline: float) -> socket.socket:
        """Return a connection to one of the checked numbers of the host."""
        numbers = self._checked_numbers(host, port)
        last: OSError = OSError("no address")
        for number in numbers:
            left = min(CONNECT_SECONDS, deadline - time.monotonic())
            if left <= 0:
                break
            try:
                sock = socket.create_connection((number, port), timeout=left)
            except OSError as error:
                last = error
                continue
            sock.settimeout(CONNECT_SECONDS)
            return sock
        raise _TryAgainError(_unreachable(host, last, deadline, self.total_seconds))

    def _checked_numbers(self, host: str, port: int) -> list[str]:
        """Return the numbers of a host. Raises ProblemError url_refused if one of them is not allowed.

        One forbidden number refuses the host: a name with a public and a private number is an attack.
        """
        try:
            numbers = [number.partition("%")[0] for number in self.resolve(host, port)]
        except (OSError, UnicodeError) as error:
            raise _TryAgainError(
                ProblemError("url_unreachable", host=host, reason=str(error)[:200])
            ) from None
        for number in numbers:
            if not is_public(ipaddress.ip_address(number), self.networks):
                raise ProblemError("url_refused", host=host)
        return numbers

    def _body(self, response: http.client.HTTPResponse, address: str, deadline: float) -> bytes:
        host = urlsplit(address).hostname or ""
        if response.status in _RETRIED:
            problem = ProblemError("url_status", host=host, status=response.status)
            raise _TryAgainError(problem, _pause_of(response.headers.get("Retry-After", "")))
        if response.status != 200:
            raise ProblemError("url_status", host=host, status=response.status)
        if response.headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
            raise ProblemError("url_encoded", host=host)
        if response.length is not None and response.length > self.limit:
            raise ProblemError("too_large", limit=self.limit)
        data = bytearray()
        while piece := response.read(_PIECE):
            data += piece
            if len(data) > self.limit:
                raise ProblemError("too_large", limit=self.limit)
            if time.monotonic() > deadline:
                raise TimeoutError
        if time.monotonic() >= deadline:
            raise TimeoutError  # the watchdog ended the connection, which looks like the end of an answer
        if response.length:  # the connection ended before the announced length
            raise ConnectionError("the answer is incomplete")
        return bytes(data)


def _parts(address: str) -> tuple[str, str, int, str]:
    """Return (scheme, host, port, path with query). Raises ProblemError url_invalid."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
        host = host.encode("idna").decode("ascii") if not host.isascii() else host
    except (ValueError, UnicodeError):
        raise ProblemError("url_invalid") from None
    if parts.scheme not in {"http", "https"} or not host or any(c <= " " or c == "\x7f" for c in host):
        raise ProblemError("url_invalid")
    if parts.username is not None or parts.password is not None:
        raise ProblemError("url_invalid")  # a password in a manifest would be stored and shown
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    if parts.query:
        target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
    return parts.scheme, host, port or (443 if parts.scheme == "https" else 80), target


def _unreachable(host: str, error: Exception, deadline: float, seconds: float) -> ProblemError:
    if isinstance(error, TimeoutError) or time.monotonic() >= deadline:
        return ProblemError("url_slow", host=host, seconds=round(seconds))
    return ProblemError("url_unreachable", host=host, reason=(str(error) or type(error).__name__)[:200])


def _pause_of(retry_after: str) -> float:
    return float(retry_after) if retry_after.isdecimal() and len(retry_after) < 9 else 0.0


def _shut(open_socket: list[socket.socket]) -> None:
    with contextlib.suppress(OSError):
        open_socket[0].shutdown(socket.SHUT_RDWR)
