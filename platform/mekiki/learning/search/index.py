"""The HNSW index of one encoder's embeddings (arXiv 1603.09320, as pgvector builds it): made, looked at, dropped.

One partial expression index an encoder, because the table holds vectors of several dimensions. It is built
beside the running system (CONCURRENTLY); a build that is killed leaves an index the database calls invalid, which
is never searched and is dropped before the next build.
"""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil
import psycopg
from django.conf import settings
from django.db import connection
from psycopg import sql

from mekiki.learning.models import Embedding, Encoder

PREFIX = "embedding_hnsw_"
# Graph degree and width of the search while building: pgvector's own, which docs/explanation/search.md measures.
DEGREE, BUILD_WIDTH = 16, 64
# Up to this many images every vector is looked at: exact, and quicker than it takes to read this line.
EXACT_UP_TO = 10_000
LOCK = 7013  # the first of two numbers of an advisory lock; the second is the encoder's
POLL_SECONDS = 0.5

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class IndexState:
    """An index as the database sees it. Not valid: being built, or left by a build that was killed."""

    encoder_id: int
    valid: bool
    size: int  # bytes
    rows: int  # about how many vectors are in it, as of its making or the last vacuum


def name_of(encoder_id: int) -> str:
    """The index's name in the database."""
    return f"{PREFIX}{encoder_id}"


def states() -> dict[int, IndexState]:
    """Encoder id → its index, for all there are."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, i.indisvalid, pg_relation_size(c.oid), c.reltuples::bigint FROM pg_index i "
            "JOIN pg_class c ON c.oid = i.indexrelid "
            "WHERE i.indrelid = 'learning_embedding'::regclass AND starts_with(c.relname, %s)",
            [PREFIX],
        )
        rows = cursor.fetchall()
    found = {}
    for name, valid, size, tuples in rows:
        with suppress(ValueError):
            number = int(name.removeprefix(PREFIX))
            found[number] = IndexState(number, valid, size, max(0, tuples))
    return found


def usable(encoder: Encoder) -> bool:
    """Is there an index that can be searched?"""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT i.indisvalid FROM pg_index i WHERE i.indexrelid = to_regclass(%s)",
            [name_of(encoder.pk)],
        )
        row = cursor.fetchone()
    return bool(row and row[0])


def has_many(encoder_id: int, more_than: int = EXACT_UP_TO) -> bool:
    """Has the encoder more embeddings than that? Counts no further than it must."""
    rows = Embedding.objects.filter(encoder_id=encoder_id).order_by().values("image_id")
    return rows[: more_than + 1].count() > more_than


def is_needed(encoder_id: int) -> bool:
    """Are there enough embeddings that an index which is there should stay? Half of what one is built for: else it
    would come and go with a few images."""
    return has_many(encoder_id, EXACT_UP_TO // 2)


def memory_for(rows: int, dim: int) -> int:
    """Megabytes the build wants: the graph in memory builds several times quicker than one on disk.

    An element is its vector and its links: 2 bytes a dimension and about 800 more. Never above
    MEKIKI_INDEX_MEMORY_MB, nor above half of what is free when the database is on this machine.
    """
    wanted = 64 + rows * (2 * dim + 800) // 1_000_000
    most: int = settings.INDEX_MEMORY_MB
    if is_local():
        most = min(most, psutil.virtual_memory().available // 2_000_000)
    return max(64, min(wanted, most))


def is_local() -> bool:
    """Is the database on this machine (a socket, not an address)?"""
    host = connection.settings_dict["HOST"] or connection.settings_dict.get("OPTIONS", {}).get("host", "")
    return str(host).startswith("/")


def build(encoder: Encoder, *, report: Report = lambda done, total: None) -> bool:
    """Make the index if it is missing or invalid; True when it was made. Must run outside a transaction.

    `report(done, total)` is called about twice a second, in images; what it raises stops the build and leaves no
    half index. Only one build of an encoder runs at a time: another waits for it and finds it done.
    """
    total = Embedding.objects.filter(encoder=encoder).count()
    with _own_session() as own:
        while not own.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK, encoder.pk]).fetchone()[0]:  # type: ignore[index]
            report(0, total)
            time.sleep(POLL_SECONDS)
        if usable(encoder):
            return False
        # A worker that is killed takes its build with it: the server looks whether its client is still there.
        own.execute("SET client_connection_check_interval = '2s'")
        own.execute(
            sql.SQL("SET maintenance_work_mem = {}").format(
                sql.Literal(f"{memory_for(total, encoder.dim)}MB")
            )
        )
        if is_local():
            helpers = max(0, min(4, (os.cpu_count() or 1) - 1))
            own.execute(sql.SQL("SET max_parallel_maintenance_workers = {}").format(sql.Literal(helpers)))
        try:
            _create(own, encoder, total, report)
        except psycopg.errors.DiskFull:
            # Helpers share memory by /dev/shm, which is 64 MB in a container nobody gave more. Alone it needs none.
            own.execute("SET max_parallel_maintenance_workers = 0")
            _create(own, encoder, total, report)
    return True


def _create(own: psycopg.Connection, encoder: Encoder, total: int, report: Report) -> None:
    """CREATE INDEX in a thread of its own, while this one tells how far it is. Leaves no invalid index."""
    own.execute(_drop(encoder.pk))
    statement = sql.SQL(
        "CREATE INDEX CONCURRENTLY {} ON learning_embedding "
        "USING hnsw ((vector::halfvec({})) halfvec_ip_ops) WITH (m = {}, ef_construction = {}) "
        "WHERE encoder_id = {}"
    ).format(
        sql.Identifier(name_of(encoder.pk)),
        *map(sql.Literal, (encoder.dim, DEGREE, BUILD_WIDTH, encoder.pk)),
    )
    failure: list[BaseException] = []

    def run() -> None:
        try:
            own.execute(statement)
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, name=f"index {encoder.pk}", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            report(_done(own.info.backend_pid, total), total)
            thread.join(POLL_SECONDS)
    except BaseException:
        while thread.is_alive():
            own.cancel_safe()
            thread.join(POLL_SECONDS)
        own.execute(_drop(encoder.pk))
        raise
    if failure:
        if not own.closed:
            own.execute(_drop(encoder.pk))
        raise failure[0]


def _done(pid: int, total: int) -> int:
    """How many of the images are in the index by now, from the blocks of the table that were read."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT blocks_done, blocks_total FROM pg_stat_progress_create_index WHERE pid = %s", [pid]
        )
        row = cursor.fetchone()
    return total * row[0] // row[1] if row and row[1] else 0


def drop(encoder_id: int) -> None:
    """Remove an encoder's index, if there is one, without stopping searches. Outside a transaction only."""
    with _own_session() as own:
        if own.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK, encoder_id]).fetchone()[0]:  # type: ignore[index]
            own.execute(_drop(encoder_id))


def _drop(encoder_id: int) -> sql.Composed:
    return sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(name_of(encoder_id)))


def _own_session() -> psycopg.Connection:
    """A connection of its own: its settings and its lock go with it."""
    parameters = connection.get_connection_params()
    return psycopg.connect(**{**parameters, "cursor_factory": psycopg.Cursor, "autocommit": True})
