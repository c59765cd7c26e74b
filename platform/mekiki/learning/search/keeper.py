"""The keeper, which builds search indexes for jobs that use the application role.

It uses the connection of the table's owner. The keeper is a thread of `mekiki up`. A job sends a request with
NOTIFY on one channel and gets the answer on another channel. Only a command word and an encoder id are read
from a message.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psycopg

from mekiki.learning.search import building

REQUEST_CHANNEL, RESULT_CHANNEL = "mekiki_index", "mekiki_index_answer"
PRESENCE_KEY = 0  # second number of the keeper's advisory lock; no encoder has this id
NOTICE_SECONDS = 2.0  # interval at which a request is repeated until the build starts
ABSENT_SECONDS = 20.0  # a request fails after this time without a keeper
RETRY_SECONDS = 2.0

logger = logging.getLogger(__name__)


class NoKeeperError(RuntimeError):
    """Raised if no `mekiki up` with the owner's connection runs, so that no index can be built."""


class BuildError(RuntimeError):
    """Raised if the database could not build the index, with the message of the database."""


class _Stopped(Exception):
    """Raised if the job was cancelled or the keeper stops."""


def request_build(own: building.Session, encoder_id: int, *, report: building.Report) -> bool:
    """Request an index from the keeper, wait until it exists, and return whether it was built now.

    own: a connection of the application role, in autocommit mode. An exception from `report` stops the build.
    Raises NoKeeperError if no keeper runs, and BuildError if the database could not build the index.
    """
    if building.is_valid(own, encoder_id):
        return False
    total = building.embedding_count(own, encoder_id)
    own.execute(f"LISTEN {RESULT_CHANNEL}")
    asked = -NOTICE_SECONDS
    missed = time.monotonic()
    try:
        while not building.is_valid(own, encoder_id):
            done = building.build_progress(own, encoder_id, total)
            report(done or 0, total)
            now = time.monotonic()
            if done is not None or _is_keeper_running(own):
                missed = now
            elif now - missed > ABSENT_SECONDS:
                raise NoKeeperError(
                    "no process with the owner's connection builds search indexes: "
                    "see docs/how-to/database-roles.md"
                )
            if done is None and now - asked > NOTICE_SECONDS:
                own.execute("SELECT pg_notify(%s, %s)", [REQUEST_CHANNEL, f"build {encoder_id}"])
                asked = now
            for answer in _messages(own, building.POLL_SECONDS):
                verb, _, rest = answer.payload.partition(" ")
                number, _, why = rest.partition(" ")
                if verb == "failed" and number == str(encoder_id):
                    raise BuildError(why)
    except BaseException:
        with suppress(psycopg.Error):
            own.execute("SELECT pg_notify(%s, %s)", [REQUEST_CHANNEL, f"stop {encoder_id}"])
        raise
    return True


def _is_keeper_running(session: building.Session) -> bool:
    row = session.execute(
        "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = %s AND objid = %s "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        [building.LOCK, PRESENCE_KEY],
    ).fetchone()
    return row is not None


class IndexBuilder:
    """Thread that builds the requested indexes, one after the other, until `stop` is called.

    No database error ends `run` before that.
    """

    def __init__(
        self, url: str, say: Callable[[str], None] = logger.warning, *, poll_seconds: float = 1.0
    ) -> None:
        self._url, self._say, self._poll_seconds = url, say, poll_seconds
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._made = 0  # id of the encoder whose index was built last

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self.run, name="index keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the build and wait for the end of the thread.

        No incomplete index is left if the database still answers.
        """
        self._stop.set()
        if self._thread is not None:
            self._thread.join(15.0)

    def run(self) -> None:
        """Serve requests until `stop`. A lost connection is opened again."""
        logged = ""
        while not self._stop.is_set():
            try:
                with psycopg.connect(self._url, autocommit=True, connect_timeout=5) as session:
                    logged = ""
                    self._serve(session)
            except psycopg.Error as problem:
                if (text := str(problem)) != logged and not self._stop.is_set():
                    self._say(f"search indexes are not built at present: {text}")
                    logged = text
                self._stop.wait(RETRY_SECONDS)

    def _serve(self, session: building.Session) -> None:
        while not self._stop.is_set():  # wait for the lock while another keeper runs
            row = session.execute(
                "SELECT pg_try_advisory_lock(%s, %s)", [building.LOCK, PRESENCE_KEY]
            ).fetchone()
            if row and row[0]:
                break
            self._stop.wait(self._poll_seconds)
        session.execute(f"LISTEN {REQUEST_CHANNEL}")
        while not self._stop.is_set():
            for message in _messages(session, self._poll_seconds):
                verb, encoder_id = _read(message.payload)
                if verb == "build" and encoder_id:
                    self._build(session, encoder_id)
                elif verb == "stop" and encoder_id and encoder_id == self._made:
                    # The request to stop came just after the index was finished. Its job has already ended.
                    self._made = 0
                    building.drop_unless_building(session, encoder_id)

    def _build(self, session: building.Session, encoder_id: int) -> None:
        def watch(_done: int, _total: int) -> None:
            if self._stop.is_set():
                raise _Stopped
            for message in _messages(session, 0.01):
                if _read(message.payload) == ("stop", encoder_id):
                    raise _Stopped

        try:
            with psycopg.connect(self._url, autocommit=True, connect_timeout=5) as own:
                self._made = encoder_id if building.build(own, session, encoder_id, report=watch) else 0
        except _Stopped:
            return
        except psycopg.Error as problem:
            if session.closed:
                raise
            why = " ".join(str(problem).split())[:500]
            self._say(f"the search index of encoder {encoder_id} was not built: {why}")
            session.execute("SELECT pg_notify(%s, %s)", [RESULT_CHANNEL, f"failed {encoder_id} {why}"])


def _messages(session: building.Session, seconds: float) -> list[psycopg.Notify]:
    """Wait for a message and return all messages that came.

    The result is a list because the session cannot be used while the generator is open.
    """
    return list(session.notifies(timeout=seconds, stop_after=1))


def _read(payload: str) -> tuple[str, int]:
    """Return the command word and the encoder id of a message, or ("", 0) for any other text."""
    word, _, number = payload.partition(" ")
    if word in {"build", "stop"} and number.isascii() and number.isdigit() and len(number) < 19:
        return word, int(number)
    return "", 0
