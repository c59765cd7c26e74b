"""Build, inspect and drop the HNSW index of an encoder's embeddings.

HNSW is described in arXiv 1603.09320. The implementation is pgvector's.

Each encoder has its own partial expression index, because the table contains vectors of several dimensions.
The index is built CONCURRENTLY, while the system runs. A build that is killed leaves an index that the
database marks as invalid. Such an index is never searched and is dropped before the next build.

Only the owner of the table can create an index, and a function cannot create an index CONCURRENTLY. So the
build is requested from the keeper, a thread of `mekiki up` with the owner's connection (docs/decisions/0029).
If our role is itself the owner, the build runs here.
"""

import time
from contextlib import suppress
from dataclasses import dataclass

import psycopg
from django.db import connection

from mekiki.learning.models import Embedding, Encoder
from mekiki.learning.search import building, keeper
from mekiki.learning.search.building import PREFIX, Report, index_name

# Up to this number of images all vectors are compared, which is exact and fast.
EXACT_UP_TO = 10_000
# A drop needs an exclusive lock on the table. It waits only this long, then retries later, so that others can
# work.
DROP_WAIT_MS = 40
DROP_TRIES = 40
DROP_PAUSE = 0.25  # seconds


@dataclass(frozen=True)
class IndexState:
    """The state of an index in the database.

    An invalid index is being built now or is left from a build that was killed.
    """

    encoder_id: int
    valid: bool
    size: int  # bytes
    rows: int  # approximate number of vectors, as of the build or the last vacuum


def index_states() -> dict[int, IndexState]:
    """Return encoder id → state of its index, for all existing indexes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, i.indisvalid, pg_relation_size(c.oid), c.reltuples::bigint FROM pg_index i "
            "JOIN pg_class c ON c.oid = i.indexrelid "
            "WHERE i.indrelid = 'learning_embedding'::regclass AND starts_with(c.relname, %s)",
            [PREFIX],
        )
        rows = cursor.fetchall()
    by_encoder = {}
    for name, valid, size, tuples in rows:
        with suppress(ValueError):
            number = int(name.removeprefix(PREFIX))
            by_encoder[number] = IndexState(number, valid, size, max(0, tuples))
    return by_encoder


def is_searchable(encoder: Encoder) -> bool:
    """Return whether the encoder has an index that can be searched."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT i.indisvalid FROM pg_index i WHERE i.indexrelid = to_regclass(%s)",
            [index_name(encoder.pk)],
        )
        row = cursor.fetchone()
    return bool(row and row[0])


def has_more_embeddings_than(encoder_id: int, more_than: int = EXACT_UP_TO) -> bool:
    """Return whether the encoder has more than `more_than` embeddings. It counts no further than needed."""
    rows = Embedding.objects.filter(encoder_id=encoder_id).order_by().values("image_id")
    return rows[: more_than + 1].count() > more_than


def is_needed(encoder_id: int) -> bool:
    """Return whether an existing index should stay.

    The limit is half of the number for which an index is built. Otherwise a few images more or less would
    create and drop the index repeatedly.
    """
    return has_more_embeddings_than(encoder_id, EXACT_UP_TO // 2)


def build(encoder: Encoder, *, report: Report = lambda done, total: None) -> bool:
    """Build the index if it is missing or invalid, and return whether it was built.

    Must run outside a transaction. `report(done, total)` is called about twice a second with numbers of
    images. An exception from it stops the build and leaves no incomplete index. Only one build of an encoder
    runs at a time. A second call waits for the first and then has nothing to do. Raises NoKeeperError if no
    keeper runs, and BuildError if the database could not build the index.
    """
    with _own_session() as own:
        if _owns_the_table(own):
            with _own_session() as watcher:
                return building.build(own, watcher, encoder.pk, report=report)
        return keeper.request_build(own, encoder.pk, report=report)


def drop(encoder_id: int) -> bool:
    """Drop an encoder's index if it exists.

    Return False if the index is being built or if it stays in use for longer than the waiting time.
    """
    with _own_session() as own:
        for attempt in range(DROP_TRIES):
            if attempt:
                time.sleep(DROP_PAUSE)
            try:
                own.execute("SELECT set_config('lock_timeout', %s, false)", [f"{DROP_WAIT_MS}ms"])
                row = own.execute("SELECT learning_drop_search_index(%s)", [encoder_id]).fetchone()
                return bool(row and row[0])
            except psycopg.errors.LockNotAvailable:
                continue
    return False


def _owns_the_table(own: psycopg.Connection) -> bool:
    row = own.execute(
        "SELECT pg_has_role(current_user, relowner, 'USAGE') FROM pg_class "
        "WHERE oid = 'learning_embedding'::regclass"
    ).fetchone()
    return bool(row and row[0])


def _own_session() -> psycopg.Connection:
    """Return a new connection, whose settings and locks end when it is closed."""
    parameters = connection.get_connection_params()
    return psycopg.connect(**{**parameters, "cursor_factory": psycopg.Cursor, "autocommit": True})
