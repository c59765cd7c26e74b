"""Small open_clip models in the format of open_clip, and a local hub that serves them over HTTP."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

TINY: dict[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
PREPROCESS = {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.6, 0.7], "resize_mode": "shortest"}


def save_model(place: Path, model: dict[str, Any], *, custom: bool = False, **config: Any) -> Path:
    """Save an untrained model of this configuration in a folder, as open_clip does."""
    from workers.encoders.importing import import_open_clip

    open_clip = import_open_clip()
    import torch
    from safetensors.torch import save_file

    place.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    network = (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**model)
    save_file(
        {name: value.contiguous() for name, value in network.state_dict().items()},
        place / "open_clip_model.safetensors",
    )
    whole = {
        "model_cfg": model | ({"custom_text": True} if custom else {}),
        "preprocess_cfg": PREPROCESS,
        **config,
    }
    (place / "open_clip_config.json").write_text(json.dumps(whole))
    return place


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a model in the format of open_clip."""
    return save_model(tmp_path_factory.mktemp("models") / "tiny model", TINY)


class FakeHub:
    """The part of the hub's protocol that we use: listing, HEAD and ranged GET of a model's files."""

    def __init__(self) -> None:
        self.models: dict[str, dict[str, bytes]] = {}
        self.requests: list[tuple[str, str, str]] = []  # (method, path, Range)
        self.cut_after: int | None = None  # bytes after which a connection breaks, once
        self.corrupt_answers = 0  # how many answers carry other content than announced
        self.status = 0  # answer everything with this status
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_arguments: Any) -> None:
                pass

            def do_HEAD(self) -> None:
                hub.answer(self, body=False)

            def do_GET(self) -> None:
                hub.answer(self, body=True)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def commit(self, repo: str) -> str:
        joined = b"".join(name.encode() + body for name, body in sorted(self.models[repo].items()))
        return hashlib.sha1(joined, usedforsecurity=False).hexdigest()

    def add(self, repo: str, folder: Path) -> None:
        self.models[repo] = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    def answer(self, to: BaseHTTPRequestHandler, *, body: bool) -> None:
        path = to.path.split("?")[0]
        self.requests.append((to.command, path, to.headers.get("Range", "")))
        if self.status:
            return self._send(to, self.status, b"{}", {}, body=body)
        if path.startswith("/api/models/"):
            repo = path.removeprefix("/api/models/").split("/revision/")[0]
            if repo not in self.models:
                return self._send(to, 404, b"{}", {"X-Error-Code": "RepoNotFound"}, body=body)
            about = {
                "id": repo,
                "sha": self.commit(repo),
                "siblings": [{"rfilename": name} for name in self.models[repo]],
            }
            return self._send(to, 200, json.dumps(about).encode(), {}, body=body)
        repo, _sep, rest = path.lstrip("/").partition("/resolve/")
        content = self.models.get(repo, {}).get(rest.partition("/")[2])
        if content is None:
            return self._send(to, 404, b"", {"X-Error-Code": "EntryNotFound"}, body=body)
        headers = {
            "X-Repo-Commit": self.commit(repo),
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "Accept-Ranges": "bytes",
        }
        status = 200
        if body and self.corrupt_answers:
            self.corrupt_answers -= 1
            content = bytes(len(content))
        if body and (byte_range := to.headers.get("Range")):
            start = int(byte_range.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            content, status = content[start:], 206
        return self._send(to, status, content, headers, body=body)

    def _send(
        self, to: BaseHTTPRequestHandler, status: int, content: bytes, headers: dict[str, str], *, body: bool
    ) -> None:
        to.send_response(status)
        for name, value in headers.items():
            to.send_header(name, value)
        to.send_header("Content-Length", str(len(content)))
        to.end_headers()
        if not body:
            return
        if self.cut_after is not None and len(content) > self.cut_after:
            content, self.cut_after = content[: self.cut_after], None
            to.close_connection = True
        to.wfile.write(content)


@pytest.fixture
def fake_hub(folder: Path) -> Iterator[FakeHub]:
    """Start a hub with the tiny model as `maker/tiny`."""
    hub = FakeHub()
    hub.add("maker/tiny", folder)
    yield hub
    hub.server.shutdown()
    hub.server.server_close()
