"""The HNSW index of one encoder's embeddings (arXiv 1603.09320, as pgvector builds it): made, looked at, dropped.

One partial expression index an encoder, because the table holds vectors of several dimensions. It is built
beside the running system (CONCURRENTLY); a build that is killed leaves an index the database calls invalid, which
is never searched and is dropped before the next build.

Only the owner of the table can make an index, and none can be made CONCURRENTLY inside a function. So a build is asked
of the keeper, a thread of `mekiki up` that has the owner's connection (docs/decisions/0029); it is done here where our
role is the owner itself.
"""

import time
from contextlib import suppress
from dataclasses import dataclass

import psycopg
from django.db import connection

from mekiki.learning.models import Embedding, Encoder
from mekiki.learning.search import building, keeper
from mekiki.learning.search.building import PREFIX, Report, name_of

# Up to this many images every vector is looked at: exact, and quicker than it takes to read this line.
EXACT_UP_TO = 10_000
# A drop needs the table for itself: it gives up after this long, and tries again while others go on.
DROP_WAIT_MS = 40
DROP_TRIES = 40
DROP_PAUSE = 0.25  # seconds


@dataclass(frozen=True)
class IndexState:
    """An index as the database sees it. Not valid: being built, or left by a build that was killed."""

    encoder_id: int
    valid: bool
    size: int  # bytes
    rows: int  # about how many vectors are in it, as of its making or the last vacuum


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
    by_encoder = {}
    for name, valid, size, tuples in rows:
        with suppress(ValueError):
            number = int(name.removeprefix(PREFIX))
            by_encoder[number] = IndexState(number, valid, size, max(0, tuples))
    return by_encoder


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


def build(encoder: Encoder, *, report: Report = lambda done, total: None) -> bool:
    """Make the index if it is missing or invalid; True when it was made. Must run outside a transaction.

    `report(done, total)` is called about twice a second, in images; what it raises stops the build and leaves no
    half index. Only one build of an encoder runs at a time: another waits for it and finds it done.
    NoKeeperError where nobody builds; BuildError when the database could not.
    """
    with _own_session() as own:
        if _owns_the_table(own):
            with _own_session() as watcher:
                return building.build(own, watcher, encoder.pk, report=report)
        return keeper.ask(own, encoder.pk, report=report)


def drop(encoder_id: int) -> bool:
    """Remove an encoder's index, if there is one. False: it is being built, or in use for longer than we wait."""
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
        "SELECT pg_has_role(current_user, relowner, 'USAGE') FROM pg_class WHERE oid = 'learning_embedding'::regclass"
    ).fetchone()
    return bool(row and row[0])


def _own_session() -> psycopg.Connection:
    """A connection of its own: its settings and its lock go with it."""
    parameters = connection.get_connection_params()
    return psycopg.connect(**{**parameters, "cursor_factory": psycopg.Cursor, "autocommit": True})
