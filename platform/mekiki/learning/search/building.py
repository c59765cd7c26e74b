"""Build the HNSW index of one encoder while the system runs, on a connection of the table's owner.

All queries use the connections that the caller passes. The keeper runs this code in the supervisor process,
where Django is connected as the application role.
"""

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil
import psycopg
from django.conf import settings
from psycopg import sql

PREFIX = "embedding_hnsw_"
# Graph degree and search width during the build: pgvector's defaults, measured in docs/explanation/search.md.
DEGREE, BUILD_WIDTH = 16, 64
LOCK = 7013  # first number of an advisory lock; the second is the encoder id
POLL_SECONDS = 0.5

Report = Callable[[int, int], None]
Session = psycopg.Connection[Any]


def index_name(encoder_id: int) -> str:
    """Return the name of an encoder's index in the database."""
    return f"{PREFIX}{encoder_id}"


def is_valid(session: Session, encoder_id: int) -> bool:
    """Return whether the encoder has an index that can be searched."""
    return bool(
        _value(
            session,
            "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)",
            [index_name(encoder_id)],
        )
    )


def embedding_count(session: Session, encoder_id: int) -> int:
    """Return the number of embeddings of the encoder."""
    return int(_value(session, "SELECT count(*) FROM learning_embedding WHERE encoder_id = %s", [encoder_id]))


def build_memory_mb(rows: int, dim: int, *, local: bool) -> int:
    """Return the memory for the build in megabytes.

    A build with the graph in memory is several times faster than a build on disk. One element takes 2 bytes
    for each dimension of its vector and about 800 bytes for its links. The result is at most
    MEKIKI_INDEX_MEMORY_MB and, if the database is on this machine, at most half of the free memory.
    """
    wanted = 64 + rows * (2 * dim + 800) // 1_000_000
    most: int = settings.INDEX_MEMORY_MB
    if local:
        most = min(most, psutil.virtual_memory().available // 2_000_000)
    return max(64, min(wanted, most))


def build(own: Session, watcher: Session, encoder_id: int, *, report: Report) -> bool:
    """Build the index if it is missing or invalid, and return whether it was built.

    own, watcher: two connections of the owner, in autocommit mode. `report(done, total)` is called about
    twice a second with numbers of images. An exception from it stops the build and leaves no incomplete
    index.
    """
    total = embedding_count(own, encoder_id)
    while not _value(own, "SELECT pg_try_advisory_lock(%s, %s)", [LOCK, encoder_id]):
        report(0, total)
        time.sleep(POLL_SECONDS)
    try:
        dim = _value(own, "SELECT dim FROM learning_encoder WHERE id = %s", [encoder_id])
        if dim is None or is_valid(own, encoder_id):
            return False
        local = own.info.host.startswith("/")
        # The server checks that its client still exists, so the build ends when this process is killed.
        own.execute("SET client_connection_check_interval = '2s'")
        memory = f"{build_memory_mb(total, dim, local=local)}MB"
        own.execute("SELECT set_config('maintenance_work_mem', %s, false)", [memory])
        if local:
            helpers = max(0, min(4, (os.cpu_count() or 1) - 1))
            own.execute("SELECT set_config('max_parallel_maintenance_workers', %s, false)", [str(helpers)])
        try:
            _create(own, watcher, encoder_id, dim, total, report)
        except psycopg.errors.DiskFull:
            # Parallel workers need /dev/shm, which has only 64 MB in a default container. A single process
            # needs none.
            own.execute("SET max_parallel_maintenance_workers = 0")
            _create(own, watcher, encoder_id, dim, total, report)
        return True
    finally:
        if not own.closed:
            own.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK, encoder_id])


def _create(own: Session, watcher: Session, encoder_id: int, dim: int, total: int, report: Report) -> None:
    """Run CREATE INDEX in another thread and report its progress. Leaves no invalid index."""
    own.execute(_drop(encoder_id))
    statement = sql.SQL(
        "CREATE INDEX CONCURRENTLY {} ON learning_embedding "
        "USING hnsw ((vector::halfvec({})) halfvec_ip_ops) WITH (m = {}, ef_construction = {}) "
        "WHERE encoder_id = {}"
    ).format(
        sql.Identifier(index_name(encoder_id)), *map(sql.Literal, (dim, DEGREE, BUILD_WIDTH, encoder_id))
    )
    failure: list[BaseException] = []

    def run() -> None:
        try:
            own.execute(statement)
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, name=f"index {encoder_id}", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            report(build_progress(watcher, encoder_id, total) or 0, total)
            thread.join(POLL_SECONDS)
    except BaseException:
        while thread.is_alive():
            own.cancel_safe()
            thread.join(POLL_SECONDS)
        own.execute(_drop(encoder_id))
        raise
    if failure:
        if not own.closed:
            own.execute(_drop(encoder_id))
        raise failure[0]


def drop_unless_building(session: Session, encoder_id: int) -> bool:
    """Drop a finished index unless it is being built now, and return whether it was dropped."""
    if not _value(session, "SELECT pg_try_advisory_lock(%s, %s)", [LOCK, encoder_id]):
        return False
    try:
        session.execute(_drop(encoder_id))
    finally:
        session.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK, encoder_id])
    return True


def build_progress(session: Session, encoder_id: int, total: int) -> int | None:
    """Return how many of `total` images are already in the index, or None if no build is running."""
    row = session.execute(
        "SELECT done, total FROM learning_search_index_progress(%s)", [encoder_id]
    ).fetchone()
    if row is None:
        return None
    done, blocks = row
    return int(total * done // blocks) if blocks else 0


def _drop(encoder_id: int) -> sql.Composed:
    return sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(index_name(encoder_id)))


def _value(session: Session, query: str, values: list[Any]) -> Any:
    row = session.execute(query, values).fetchone()  # type: ignore[arg-type]
    return row[0] if row else None
