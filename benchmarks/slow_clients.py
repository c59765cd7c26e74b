"""Reviewers beside slow clients: half request lines, slow headers, slow bodies and slow readers.

    python benchmarks/slow_clients.py [--quick] [--json PATH]

A whole platform (`mekiki up` without workers) serves eight reviewers over HTTP, who request the next image
and answer, and a probe of /healthz four times a second. Then 32 and 200 slow clients of each kind are added,
for `--seconds` each.

- `*_answered`: the reviewers' requests for a next image that were answered in that time;
- `*_next_p50_ms` and `*_next_p99_ms`: the times of those requests;
- `*_unanswered`: requests of reviewers and probes without an answer within five seconds;
- `web_rss_mb`: the largest web process at the end.

A slow client whose connection the server closes connects again at once. Everything runs on 127.0.0.1.
"""

import argparse
import http.client
import json
import os
import selectors
import socket
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT), str(ROOT / "benchmarks")]
from review_load import SLUG, fill  # noqa: E402

REVIEWERS = 8
PATIENCE = 5.0
TOKEN = "a" * 32
HEAD = b"POST /accounts/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
PAGE = b"GET /accounts/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
# kind → (bytes that a slow client sends at once, bytes that it then sends at one byte per second)
KINDS: dict[str, tuple[bytes, bytes]] = {
    "half_line": (b"GET /acc", b""),
    "slow_head": (HEAD, b"X-Slow: " + b"x" * 500),
    "slow_body": (
        HEAD + b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\n",
        b"x" * 500,
    ),
    "slow_reader": (PAGE * 1000, b""),
}


class SlowClients:
    """`count` connections of one kind in one thread, until `stop`."""

    def __init__(self, port: int, kind: str, count: int) -> None:
        self.port, self.count = port, count
        self.first, self.drip = KINDS[kind]
        self.reads = kind != "slow_reader"
        self.closed = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def open(self, selector: selectors.BaseSelector) -> None:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        connection.connect_ex(("127.0.0.1", self.port))
        selector.register(connection, selectors.EVENT_WRITE, [self.first, 0, time.monotonic()])

    def run(self) -> None:
        silent: list[Any] = []
        with selectors.DefaultSelector() as selector:
            for _ in range(self.count):
                self.open(selector)
            while not self.ended.is_set():
                for key, events in selector.select(0.1):
                    try:
                        if events & selectors.EVENT_WRITE:
                            key.data[0] = key.data[0][
                                key.fileobj.send(key.data[0]) :  # type: ignore[union-attr]
                            ]
                            if not key.data[0] and self.reads:
                                selector.modify(key.fileobj, selectors.EVENT_READ, key.data)
                            elif not key.data[0]:
                                selector.unregister(key.fileobj)
                                silent.append(key.fileobj)
                        elif not key.fileobj.recv(4096):  # type: ignore[union-attr]
                            raise ConnectionError
                    except BlockingIOError:
                        continue
                    except OSError:
                        self.closed += 1
                        selector.unregister(key.fileobj)
                        key.fileobj.close()  # type: ignore[union-attr]
                        self.open(selector)
                now = time.monotonic()
                for key in list(selector.get_map().values()):
                    first, sent, last = key.data
                    if self.drip and not first and now - last > 1 and sent < len(self.drip):
                        try:
                            key.fileobj.send(self.drip[sent : sent + 1])  # type: ignore[union-attr]
                        except OSError:
                            continue
                        key.data[1:] = [sent + 1, now]
            for one in [*silent, *(key.fileobj for key in selector.get_map().values())]:
                one.close()

    def stop(self) -> None:
        self.ended.set()
        self.thread.join()


class Clients:
    """Reviewers and a probe over HTTP, until `stop`; holds the measurements since the last `take`."""

    def __init__(self, port: int, sessions: list[str], label: int) -> None:
        self.port, self.label = port, label
        self.times: list[float] = []
        self.unanswered = 0
        self.errors: list[str] = []
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.review, args=(key,)) for key in sessions]
        self.threads.append(threading.Thread(target=self.probe))
        for thread in self.threads:
            thread.start()

    def ask(self, method: str, path: str, body: Any = None, session: str = "") -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        headers = {"Cookie": f"sessionid={session}; csrftoken={TOKEN}", "X-CSRFToken": TOKEN}
        try:
            connection.request(
                method,
                path,
                json.dumps(body) if body else None,
                headers | {"Content-Type": "application/json"},
            )
            reply = connection.getresponse()
            text = reply.read()
            if reply.status != 200:
                self.errors.append(f"{path}: {reply.status} {text[:100]!r}")
                return None
            return json.loads(text)
        except (OSError, http.client.HTTPException):
            self.unanswered += 1
            return None
        finally:
            connection.close()

    def review(self, session: str) -> None:
        base = f"/api/v1/datasets/{SLUG}/review/"
        while not self.ended.is_set():
            begun = time.perf_counter()
            leased = self.ask("POST", base + "next", {"count": 3}, session)
            if leased:
                self.times.append(time.perf_counter() - begun)
            time.sleep(0.25)
            if leased and leased["items"]:
                item = leased["items"][0]
                body = {"item": item["item"], "lease": item["lease"], "client_key": str(uuid.uuid4())}
                body |= {"kind": "correct", "label": self.label, "milliseconds": 900}
                self.ask("POST", base + "answer", body, session)

    def probe(self) -> None:
        while not self.ended.is_set():
            self.ask("GET", "/healthz")
            time.sleep(0.25)

    def take(self) -> dict[str, float]:
        """Return the figures since the last call."""
        times, self.times = sorted(self.times), []
        unanswered, self.unanswered = self.unanswered, 0

        def at(share: float) -> float:
            return round(times[min(len(times) - 1, int(share * len(times)))] * 1000, 1) if times else -1

        return {
            "answered": len(times),
            "next_p50_ms": at(0.5),
            "next_p99_ms": at(0.99),
            "unanswered": unanswered,
        }

    def stop(self) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join()
        if self.errors:
            print(f"{len(self.errors)} errors, the first: {self.errors[0]}", file=sys.stderr)


def sessions() -> tuple[list[str], int]:
    """Log the reviewers in; return their session keys, and the id of a label."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

    from mekiki.accounts.models import User
    from mekiki.accounts.sessions import SessionStore
    from mekiki.labeling.models import Label

    keys = []
    for user in User.objects.filter(username__startswith="reviewer-"):
        store = SessionStore()
        store[SESSION_KEY], store[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
        store[BACKEND_SESSION_KEY] = "mekiki.accounts.backends.SiteBackend"
        store.create()
        keys.append(store.session_key)
    return keys, Label.objects.filter(dataset__slug=SLUG).earliest("position").pk


def measure(platform: Any, counts: list[int], seconds: float) -> dict[str, Any]:
    """Return the figures of every kind and number of slow clients."""
    port = int(platform.url.rsplit(":", 1)[1].strip("/"))
    fill(images=4000, reviewers=REVIEWERS, items=3500)
    clients = Clients(port, *sessions())
    figures: dict[str, Any] = {}
    try:
        for _ in range(60):  # wait until the processes are warm
            time.sleep(0.5)
            taken = clients.take()
            if taken["answered"] >= REVIEWERS and not taken["unanswered"]:
                break
        time.sleep(seconds)
        figures |= {f"alone_{name}": value for name, value in clients.take().items()}
        for kind in KINDS:
            for count in counts:
                slow = SlowClients(port, kind, count)
                time.sleep(1)
                clients.take()
                time.sleep(seconds)
                taken = clients.take()
                slow.stop()
                figures |= {f"{kind}_{count}_{name}": value for name, value in taken.items()}
                time.sleep(1)
        master = psutil.Process(platform.pids()["web"])
        rss = max(p.memory_info().rss for p in [master, *master.children()])
        figures["web_rss_mb"] = round(rss / 2**20, 1)
    finally:
        clients.stop()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="6 seconds each, 32 slow clients")
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--counts", type=int, nargs="+", help="of slow clients (32 and 200)")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    counts = given.counts or ([32] if given.quick else [32, 200])
    os.environ["DJANGO_SETTINGS_MODULE"] = "mekiki.config.settings"
    with tempfile.TemporaryDirectory(prefix="mekiki-slow-") as folder:
        home = Path(folder) / "home"
        os.environ.update(MEKIKI_HOME=str(home), MEKIKI_LOG_LEVEL="ERROR", DATABASE_URL="", BROKER_URL="")
        from mekiki.embedded.supervisor import Platform

        platform = Platform(home, worker=False, beat=False, quiet=True, timeout=300).start()
        try:
            import django

            django.setup()
            platform.connect()
            figures = measure(platform, counts, given.seconds or (6 if given.quick else 8))
        finally:
            platform.discard()
    for name, value in figures.items():
        print(f"{name:32} {value:>10,}")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
