"""Sealing: signed Merkle roots over the rows since the last seal (docs/decisions/0030).

Sealing takes no lock that a reviewer could wait for. It reads the newest id and waits until every transaction
that was writing to the table at that moment has ended. Then it seals the rows up to that id. A row with a
lower id cannot appear afterwards, because ids ascend and are allocated only inside such a transaction.
"""

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from django.db import connection, transaction

from mekiki.audit.models import Seal, SealLeaves
from mekiki.audit.private_key import load_key
from mekiki.audit.sealed_tables import SealedTable, sealed_tables
from verification import merkle
from verification.statements import SealFacts

# The most rows under one seal. They are in memory while it is created, and a check of the seal can name them.
MOST_ROWS = 65_536
# Seconds to wait for transactions that write to the table. After that the rows are left to the next seal.
PATIENCE = 20.0
_LOCK = 0x5EA1
_WRITERS = """
SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND granted AND mode = 'RowExclusiveLock' \
AND pid IS DISTINCT FROM pg_backend_pid()
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND relation = %s::regclass
"""

Progress = Callable[[int, int], None]


@dataclass
class Sealed:
    """The result of sealing: numbers of the new seals, and tables whose newest rows were left out."""

    seals: list[int] = field(default_factory=list)
    rows: int = 0
    waiting: list[str] = field(default_factory=list)


def ignore_progress(done: int, total: int) -> None:
    """Ignore progress."""


def last_sealed_id(table: str) -> int | None:
    """Return the largest id under a seal of the table, or None if it has no seal."""
    return Seal.objects.filter(table=table).order_by("-number").values_list("last_id", flat=True).first()


def unsealed_count() -> int:
    """Return the number of rows of all sealed tables that are under no seal yet, in one query."""
    counts = " UNION ALL ".join(
        f"SELECT count(*) FROM {table.relation} WHERE id > coalesce((SELECT s.last_id FROM audit_seal s "  # noqa: S608
        f'WHERE s."table" = %s ORDER BY s.number DESC LIMIT 1), {-(2**63)})'
        for table in sealed_tables()
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT sum(n)::bigint FROM ({counts}) waiting (n)",  # noqa: S608
            [table.name for table in sealed_tables()],
        )
        return int(cursor.fetchone()[0])


def has_rows_to_seal() -> bool:
    """Return whether a row requires a seal. Events of sealing itself do not."""
    return any(table.asks_for_seal(last_sealed_id(table.name)) for table in sealed_tables())


def seal_new_rows(*, progress: Progress = ignore_progress, patience: float = PATIENCE) -> Sealed:
    """Seal every row that can be sealed now.

    `progress(done, total)` is called after each seal and while this function waits for writers. If it raises
    an exception, the work stops, and the seals made so far stay. Do not call this inside a transaction: rows
    of other transactions would stay invisible. Raises SigningKeyError if the signing key cannot be used.
    """
    load_key()
    sealed = Sealed()
    tables = [(table, table.newest_id()) for table in sealed_tables()]
    total = sum(table.count_after(last_sealed_id(table.name)) for table, _newest in tables)
    for table, newest in tables:
        if newest is None or newest <= (last_sealed_id(table.name) or newest - 1):
            continue
        if not _wait_for_writers(
            table.relation, patience=patience, tell=lambda: progress(sealed.rows, max(total, sealed.rows))
        ):
            sealed.waiting.append(table.name)
            continue
        while seal := _seal_next(table, upto=newest):
            sealed.seals.append(seal.number)
            sealed.rows += seal.rows
            progress(sealed.rows, max(total, sealed.rows))
    return sealed


def _wait_for_writers(relation: str, *, patience: float, tell: Callable[[], None]) -> bool:
    """Wait until the transactions that now write to the table have ended; return whether they have."""
    writers = _writers(relation)
    deadline = time.monotonic() + patience
    pause = 0.01
    while writers:
        if time.monotonic() > deadline:
            return False
        tell()
        time.sleep(pause)
        pause = min(0.5, pause * 2)
        writers &= _writers(relation)
    return True


def _writers(relation: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(_WRITERS, [relation])
        return {row[0] for row in cursor.fetchall()}


def _seal_next(table: SealedTable, *, upto: int) -> Seal | None:
    """Seal the next rows of a table, at most MOST_ROWS; return the seal, or None if no row is left."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            # Only one process creates a seal at a time.
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            cursor.execute("SELECT clock_timestamp()")
            now: datetime = cursor.fetchone()[0]
        leaves = list(islice(table.leaves(after=last_sealed_id(table.name), upto=upto), MOST_ROWS))
        if not leaves:
            return None
        return _write(table.name, leaves, now)


def _write(table: str, leaves: list[tuple[int, bytes]], now: datetime) -> Seal:
    key, private = load_key()
    before = Seal.objects.order_by("-number").first()
    facts = SealFacts(
        number=before.number + 1 if before else 1,
        table=table,
        first_id=leaves[0][0],
        last_id=leaves[-1][0],
        rows=len(leaves),
        root=merkle.root_of(leaf for _pk, leaf in leaves),
        previous=bytes(before.hash) if before else b"",
        sealed_at=now.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        key=key.fingerprint,
    )
    log = merkle.Tree(before.number, _split(bytes(before.log_peaks))) if before else merkle.Tree()
    log.add(facts.hash())
    seal = Seal(
        number=facts.number,
        table=table,
        first_id=facts.first_id,
        last_id=facts.last_id,
        rows=facts.rows,
        root=facts.root,
        previous=facts.previous,
        sealed_at=now,
        hash=facts.hash(),
        log_root=log.root(),
        log_peaks=b"".join(log.peaks),
        key=key,
    )
    seal.signature = private.sign(signed_facts_of(seal, key.fingerprint).statement())
    seal.save(force_insert=True)
    SealLeaves.objects.create(
        seal=seal,
        ids=struct.pack(f">{len(leaves)}q", *(pk for pk, _leaf in leaves)),
        hashes=b"".join(leaf for _pk, leaf in leaves),
    )
    return seal


def _split(hashes: bytes) -> list[bytes]:
    return [hashes[at : at + 32] for at in range(0, len(hashes), 32)]


def signed_facts_of(seal: Seal, fingerprint: str | None = None) -> SealFacts:
    """Return a stored seal in the form that is signed.

    `fingerprint` is that of the seal's key, if the caller knows it. It saves a query.
    """
    return SealFacts(
        number=seal.number,
        table=seal.table,
        first_id=seal.first_id,
        last_id=seal.last_id,
        rows=seal.rows,
        root=bytes(seal.root),
        previous=bytes(seal.previous),
        sealed_at=seal.sealed_at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        key=fingerprint or seal.key.fingerprint,
        log_root=bytes(seal.log_root),
        signature=bytes(seal.signature),
    )
