"""A real web server on this machine for tests of fetching: images, redirects, and servers that misbehave."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


class WebServer(ThreadingHTTPServer):
    """Serves `files` by path. `asked` counts the requests by path."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.asked: Counter[str] = Counter()

    @property
    def address(self) -> str:
        """Return the address of the server without a slash at its end."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: WebServer

    def log_message(self, *_args: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        """Answer as the path says."""
        path = unquote(self.path.partition("?")[0])
        self.server.asked[path] += 1
        kind, _, rest = path[1:].partition("/")
        if kind == "to":  # redirects to any address
            self._head(302, Location=rest.replace("|", "/"))
        elif kind == "loop":
            self._head(302, Location=f"/loop/{int(rest) + 1}")
        elif kind == "status":
            self._head(int(rest), **{"Content-Length": "0", "Retry-After": "0"})
        elif kind == "once" and self.server.asked[path] == 1:
            self._head(503, **{"Content-Length": "0"})
        elif kind == "short":
            self._head(200, **{"Content-Length": "1000"})
            self.wfile.write(b"x")
        elif kind == "gzip":
            self._head(200, **{"Content-Encoding": "gzip", "Content-Length": "1"})
            self.wfile.write(b"x")
        elif kind == "endless":
            self._head(200)
            try:
                while True:
                    self.wfile.write(b"x" * 65536)
            except OSError:
                pass
        elif kind == "slow":
            try:
                self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                while True:
                    self.wfile.write(b"X-Slow: 1\r\n")
                    time.sleep(0.05)
            except OSError:
                pass
        elif (data := self.server.files.get(rest if kind == "once" else path[1:])) is not None:
            self._head(200, **{"Content-Length": str(len(data))})
            self.wfile.write(data)
        else:
            self._head(404, **{"Content-Length": "0"})

    def _head(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


@contextmanager
def web_server() -> Iterator[WebServer]:
    """Yield a running server."""
    server = WebServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
