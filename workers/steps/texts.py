"""The search worker: embedding of search texts. The encoder runs in a child process, which ends when idle."""

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from django.conf import settings

from mekiki.config import env
from mekiki.datasets.models import Dataset
from mekiki.jobs.models import Kind
from mekiki.jobs.services import enqueue
from mekiki.labeling.selectors import can_predict
from mekiki.learning.models import Encoder
from mekiki.learning.search.texts import Problem, record_problem, record_vector, waiting_text
from workers.encoders import VectorMismatchError
from workers.encoders.probing import PROBE_VERSION
from workers.steps.probing import require_vectors_of_probe

IDLE = 600.0  # seconds without a request after which the process ends
LOADING, ANSWERING = 300.0, 60.0  # seconds that loading and answering may take


class ReaderError(Exception):
    """The encoder could not be loaded or did not answer; the message says why."""


class OtherEncoderError(Exception):
    """The child's encoder is not the recorded one: `problem` is a code of a search text."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


class TextEncoderProcess:
    """One encoder in a child process, started on request and ended after `idle` seconds without a request."""

    def __init__(self, idle: float = IDLE) -> None:
        self.idle = idle
        self.name = ""
        self.facts: dict[str, Any] = {}
        self._child: subprocess.Popen[bytes] | None = None
        self._received = b""  # what was read from the child after the last line
        # The progress of a request can make further requests, in the same thread.
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None

    @property
    def pid(self) -> int:
        """Return the child's process id; 0 while there is none."""
        return self._child.pid if self._child else 0

    def read(
        self, name: str, request: Any, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> dict[str, Any]:
        """Return the answer to a request by an encoder; workers.text_process describes both.

        `progress` is called with the parts done and all parts of a heat map. Meanwhile the child waits, so
        `progress` can read texts by the same encoder.

        `facts` describes the encoder. A child that died (for example, because the system ran out of memory)
        is started again once. Raises ReaderError.
        """
        with self._lock:
            if self._timer:
                self._timer.cancel()
            try:
                try:
                    reply = self._ask(name, request, progress)
                except (BrokenPipeError, EOFError):
                    self._end()
                    reply = self._ask(name, request, progress)
            except (BrokenPipeError, EOFError, TimeoutError) as error:
                self._end()
                raise ReaderError(str(error) or "it ended while it was asked") from error
            finally:
                self._end_when_idle()
            if "error" in reply:
                raise ReaderError(reply["error"])
            return reply

    def close(self) -> None:
        """End the child process, which frees its memory."""
        with self._lock:
            self._end()

    def load(self, name: str) -> None:
        """Start the encoder's process, so that the next request does not wait for it. Raises ReaderError."""
        with self._lock:
            if self._timer:
                self._timer.cancel()
            try:
                self._load(name)
            except (BrokenPipeError, EOFError, TimeoutError) as error:
                self._end()
                raise ReaderError(str(error) or "it ended while it was loaded") from error
            finally:
                self._end_when_idle()

    def _end_when_idle(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = threading.Timer(self.idle, self.close)
        self._timer.daemon = True
        self._timer.start()

    def _ask(self, name: str, request: Any, progress: Callable[[int, int], None]) -> dict[str, Any]:
        self._load(name)
        assert self._child is not None and self._child.stdin is not None
        self._child.stdin.write(json.dumps(request).encode() + b"\n")
        self._child.stdin.flush()
        child = self._child
        while "done" in (reply := self._line(ANSWERING)):
            progress(reply["done"], reply["total"])
            if self._child is not child:
                raise EOFError("its process ended while it computed a heat map")
            self._child.stdin.write(b"null\n")
            self._child.stdin.flush()
        return reply

    def _load(self, name: str) -> None:
        if self._child is not None and self._child.poll() is None and self.name == name:
            return
        self._end()
        self._child = subprocess.Popen(
            [sys.executable, "-m", "workers.text_process", name, str(settings.HOME / "cache" / "encoders")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # A sentence needs only one thread, and other work needs the processor.
            env=env.child_environment({"OMP_NUM_THREADS": "1"}),
        )
        self.name = name
        self.facts = self._line(LOADING)
        if "error" in self.facts:
            self._end()
            raise ReaderError(self.facts["error"])

    def _line(self, patience: float) -> dict[str, Any]:
        assert self._child is not None and self._child.stdout is not None
        # Read without Python's buffer: a second line in it would not make the pipe ready.
        while b"\n" not in self._received:
            ready, _w, _x = select.select([self._child.stdout], [], [], patience)
            if not ready:
                raise TimeoutError(f"no answer within {patience:.0f} s")
            part = os.read(self._child.stdout.fileno(), 1 << 16)
            if not part:
                code = self._child.wait()
                raise EOFError(f"its process ended (exit status {code})")
            self._received += part
        line, _newline, self._received = self._received.partition(b"\n")
        return json.loads(line)

    def _end(self) -> None:
        child, self._child, self.name, self._received = self._child, None, "", b""
        if child is None:
            return
        for pipe in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        child.kill()
        child.wait()


_reader = TextEncoderProcess()


def search_reader() -> TextEncoderProcess:
    """Return the child process of this worker."""
    return _reader


def embed_search_text(text_id: int, reader: TextEncoderProcess | None = None) -> str:
    """Store the vector of a text, or the reason why there is none; return "" if there is nothing to do."""
    row = waiting_text(text_id)
    if row is None:
        return ""
    try:
        reply = ask_encoder(reader or _reader, row.encoder, row.text)
    except ReaderError as error:
        record_problem(row=row, problem=Problem.NOT_LOADED, reason=str(error)[:500])
        return Problem.NOT_LOADED
    except OtherEncoderError as error:
        record_problem(row=row, problem=error.problem)
        return error.problem
    if "vector" not in reply:
        record_problem(row=row, problem=Problem.TOO_LONG, count=reply["count"], most=reply["most"])
        return Problem.TOO_LONG
    record_vector(row=row, vector=reply["vector"])
    return "found"


def ask_encoder(
    reader: TextEncoderProcess,
    encoder: Encoder,
    request: Any,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Return the answer of a recorded encoder to a request of workers.text_process.

    Raises ReaderError if the encoder could not be loaded or did not answer. Raises OtherEncoderError if the
    child loads other weights than the recorded ones, or computes other vectors with them.
    """
    reply = reader.read(encoder.name, request, progress)
    if not _has_same_encoder(reader, encoder):  # the folder may have changed since its process loaded it
        reader.close()
        reply = reader.read(encoder.name, request, progress)
    if not _has_same_encoder(reader, encoder):
        # The predict stage detects that the weights behind the name changed, and requests a change to them.
        for dataset in Dataset.objects.filter(archived_at__isnull=True, champion__head__encoder=encoder):
            if can_predict(dataset):
                enqueue(kind=Kind.PREDICT, dataset=dataset)
        raise OtherEncoderError(Problem.OTHER_WEIGHTS)
    if not _computes_the_recorded(reader, encoder):
        raise OtherEncoderError(Problem.OTHER_VECTORS)
    return reply


def _computes_the_recorded(reader: TextEncoderProcess, encoder: Encoder) -> bool:
    """Return whether this process computes the recorded vectors of the probe sentences.

    Return True while there is no record.
    """
    probe = encoder.probes.filter(version=PROBE_VERSION).first()
    if probe is None:
        return True
    try:
        require_vectors_of_probe(probe, np.asarray(reader.facts["probe"], np.float32))
    except VectorMismatchError:
        reader.close()  # the next request loads it again: the cause may be fixed by then
        return False
    return True


def _has_same_encoder(reader: TextEncoderProcess, encoder: Encoder) -> bool:
    return (reader.facts["digest"], reader.facts["dim"]) == (encoder.digest, encoder.dim)
