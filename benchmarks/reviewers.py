"""The clients of benchmarks/review_load.py: one light process that plays many reviewers over HTTP.

    python benchmarks/reviewers.py < SETTINGS.json > FIGURES.json

One event loop and one kept connection for each reviewer, without a library for HTTP, so that the clients use
as little as possible of the cores that they share with the server. The process reports its own processor
time.
"""

import asyncio
import json
import random
import resource
import sys
import time
import uuid
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


class Connection:
    """One HTTP/1.1 connection to the server, opened again if the server has closed it."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "localhost", parts.port or 80
        head = {"Host": parts.netloc, "Accept": "application/json", **headers}
        self.head = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Send a request and return the status and the JSON of the reply (None without a body)."""
        for last_try in (False, True):
            if self.writer is None:
                self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
            try:
                return await self._exchange(method, path, body)
            except (ConnectionError, asyncio.IncompleteReadError):
                await self.close()
                if last_try:
                    raise
        raise AssertionError

    async def _exchange(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        assert self.reader is not None and self.writer is not None
        content = b"" if body is None else json.dumps(body).encode()
        about = f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        self.writer.write(f"{method} {path} HTTP/1.1\r\n{self.head}{about}\r\n".encode() + content)
        await self.writer.drain()
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _colon, value in (line.partition(":") for line in head[1:])
        }
        if "chunked" in headers.get("transfer-encoding", ""):
            parts = []
            while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
                parts.append((await self.reader.readexactly(size + 2))[:-2])
            await self.reader.readuntil(b"\r\n")
            raw = b"".join(parts)
        else:
            raw = await self.reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection", "").lower() == "close":
            await self.close()
        status = int(head[0].split()[1])
        is_json = "json" in headers.get("content-type", "")
        return status, json.loads(raw) if raw and is_json else raw.decode(errors="replace") or None

    async def close(self) -> None:
        """Close the connection."""
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


class UnexpectedReply(Exception):
    """Raised if the server does not do what a reviewer asked for."""


@dataclass
class Figures:
    """What all reviewers measured together."""

    times: list[float] = field(default_factory=list)  # seconds until the next image has arrived
    answers: list[float] = field(default_factory=list)  # seconds of requests that only answer
    seen: list[tuple[int, int]] = field(default_factory=list)  # (item, reviewer)
    kept: int = 0  # answers that the server has confirmed
    failed: list[str] = field(default_factory=list)


class Reviewer(ABC):
    """One reviewer of a review tool: takes an image, looks at it, answers."""

    def __init__(self, number: int, settings: dict[str, Any], figures: Figures) -> None:
        self.number, self.settings, self.figures = number, settings, figures
        self.connection = Connection(settings["url"], settings["headers"][number])

    @abstractmethod
    async def open(self) -> int | None:
        """Return the first item to judge, or None."""

    @abstractmethod
    async def answer(self, item: int) -> int | None:
        """Answer the item and return the next one, or None. Appends the times to the figures."""

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON of a reply. Raises UnexpectedReply for any other status than 200 and 201."""
        status, reply = await self.connection.request(method, path, body)
        if status not in (200, 201):
            raise UnexpectedReply(f"{method} {path}: {status} {str(reply)[:200]}")
        return reply

    async def work(self) -> None:
        """Review until the time is over or nothing is left."""
        think, dice = self.settings["think"], random.Random(self.number)
        try:
            await asyncio.sleep(dice.uniform(0, think))
            item = await self.open()
            while item is not None:
                self.figures.seen.append((item, self.number))
                await asyncio.sleep(dice.uniform(0.5, 1.5) * think)
                if time.monotonic() > self.settings["until"]:
                    break
                item = await self.answer(item)
        except Exception as error:
            self.figures.failed.append(repr(error))
        finally:
            await self.connection.close()


class MekikiReviewer(Reviewer):
    """A reviewer of Mekiki who holds three images, as the station does.

    With `separate`, the answer and the request for the next images are two requests.
    """

    def _take(self, items: list[dict[str, Any]]) -> int | None:
        self.figures.seen += [(item["item"], self.number) for item in items]
        self.items = items
        return items[0]["item"] if items else None

    async def open(self) -> int | None:
        """Hold the first images."""
        reply = await self.ask("POST", self.settings["base"] + "next", {"count": 3})
        return self._take(reply["items"])

    async def answer(self, item: int) -> int | None:
        """Answer the first image held, and hold a further one."""
        base, separate, figures = self.settings["base"], self.settings["separate"], self.figures
        body = {"item": item, "lease": self.items[0]["lease"], "client_key": str(uuid.uuid4())}
        body |= {"kind": "correct", "label": self.settings["label"], "milliseconds": 900}
        begun = time.perf_counter()
        reply = await self.ask("POST", base + "answer", body if separate else body | {"next": 3})
        figures.kept += 1
        if separate:
            figures.answers.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            following = await self.ask("POST", base + "next", {"count": 3})
        else:
            following = reply["next"]
        figures.times.append(time.perf_counter() - begun)
        return self._take(following["items"])


class LabelStudioReviewer(Reviewer):
    """A reviewer of Label Studio: GET /api/projects/<id>/next, POST /api/tasks/<id>/annotations/.

    The labelling interface of the project must have one Choices tag. Used with Label Studio 1.23.2. `times`
    are those of both requests together, `answers` those of the annotation alone.
    """

    async def open(self) -> int | None:
        """Ask for a task. A status of 404 means that none is left."""
        path = f"/api/projects/{self.settings['project']}/next"
        status, task = await self.connection.request("GET", path)
        if status == 404:
            return None
        if status != 200:
            raise UnexpectedReply(f"GET {path}: {status} {str(task)[:200]}")
        return int(task["id"])

    async def answer(self, item: int) -> int | None:
        """Post an annotation, then ask for the next task."""
        choice = {
            "from_name": self.settings["from_name"],
            "to_name": self.settings["to_name"],
            "type": "choices",
            "value": {"choices": [self.settings["choice"]]},
        }
        begun = time.perf_counter()
        body = {"result": [choice], "lead_time": 0.9}
        await self.ask("POST", f"/api/tasks/{item}/annotations/", body)
        self.figures.kept += 1
        self.figures.answers.append(time.perf_counter() - begun)
        following = await self.open()
        self.figures.times.append(time.perf_counter() - begun)
        return following


async def play(settings: dict[str, Any]) -> dict[str, Any]:
    """Let all reviewers work at once, and return their figures and the processor time of this process."""
    kind = {"mekiki": MekikiReviewer, "label_studio": LabelStudioReviewer}[settings["tool"]]
    figures = Figures()
    reviewers = [kind(number, settings, figures) for number in range(len(settings["headers"]))]
    used = resource.getrusage(resource.RUSAGE_SELF)
    begun = time.monotonic()
    settings["until"] = begun + settings["seconds"]
    await asyncio.gather(*(reviewer.work() for reviewer in reviewers))
    now = resource.getrusage(resource.RUSAGE_SELF)
    return {
        **vars(figures),
        "seconds": time.monotonic() - begun,
        "cpu_seconds": now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime,
    }


if __name__ == "__main__":
    json.dump(asyncio.run(play(json.load(sys.stdin))), sys.stdout)
