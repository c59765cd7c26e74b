"""The clients of the load benchmark, against a small server with the shapes of Label Studio's API."""

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from benchmarks.reviewers import play


class LabelStudio:
    """Tasks and annotations of one project, as /api/projects/<id>/next and /api/tasks/<id>/annotations/."""

    def __init__(self, tasks: int, chunked: bool = False) -> None:
        self.waiting = list(range(1, tasks + 1))
        self.annotations: list[tuple[int, dict[str, Any], str]] = []  # (task, body, token)
        self.lock = threading.Lock()
        self.chunked = chunked

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serve on a free port and yield the address."""
        tool = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_args: Any) -> None:
                pass

            def reply(self, status: int, body: Any) -> None:
                raw = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                if tool.chunked:
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    for part in (raw[:5], raw[5:]):
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                    self.wfile.write(b"0\r\n\r\n")
                else:
                    self.send_header("Content-Length", str(len(raw)))
                    self.end_headers()
                    self.wfile.write(raw)

            def do_GET(self) -> None:
                assert self.path == "/api/projects/7/next"
                with tool.lock:
                    task = tool.waiting.pop(0) if tool.waiting else None
                if task is None:
                    self.reply(404, {"detail": "No more tasks"})
                else:
                    self.reply(200, {"id": task, "data": {"image": "/data/1.png"}, "predictions": []})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                task = int(self.path.split("/")[3])
                assert self.path == f"/api/tasks/{task}/annotations/"
                tool.annotations.append((task, body, self.headers["Authorization"]))
                self.reply(201, {"id": len(tool.annotations), "task": task, **body})

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def run(playing: Any) -> dict[str, Any]:
    """Run a coroutine in a thread of its own: a browser test leaves an event loop running in this thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, playing).result()


def settings(url: str, **more: Any) -> dict[str, Any]:
    """Return the settings of three reviewers of Label Studio who answer at once."""
    return {
        "tool": "label_studio", "url": url, "project": 7, "think": 0, "seconds": 60,
        "headers": [{"Authorization": f"Token {n}"} for n in range(3)],
        "from_name": "choice", "to_name": "image", "choice": "ok", **more,
    }  # fmt: skip


def test_reviewers_of_label_studio_annotate_every_task_once():
    tool = LabelStudio(tasks=12)
    with tool.served() as url:
        figures = run(play(settings(url)))
    assert figures["failed"] == []
    assert sorted(task for task, _body, _token in tool.annotations) == list(range(1, 13))
    assert {token for _task, _body, token in tool.annotations} <= {"Token 0", "Token 1", "Token 2"}
    assert tool.annotations[0][1]["result"] == [
        {"from_name": "choice", "to_name": "image", "type": "choices", "value": {"choices": ["ok"]}}
    ]
    assert figures["kept"] == 12 and len(figures["times"]) == 12
    assert sorted(item for item, _reviewer in figures["seen"]) == list(range(1, 13))


def test_reply_in_chunks_is_read():
    tool = LabelStudio(tasks=2, chunked=True)
    with tool.served() as url:
        figures = run(play(settings(url)))
    assert figures["failed"] == [] and figures["kept"] == 2


def test_reviewer_who_cannot_reach_the_server_is_reported():
    figures = run(play(settings("http://127.0.0.1:9")))
    assert len(figures["failed"]) == 3
    assert "refused" in figures["failed"][0].lower() or "connect" in figures["failed"][0].lower()
