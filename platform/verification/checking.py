"""The check of rows against their seals, for the database and for an exported file."""

import contextlib
import json
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from verification import merkle, signing
from verification.canonical import canonical
from verification.findings import CheckReport, EnoughError
from verification.key_list import PublicKey, trusted_keys
from verification.statements import SealFacts

# The search for exchanged rows looks at no more than this many differing rows of one seal.
MOST_MOVED = 64
# The number of rows between two reports of progress.
STEP = 2000


@dataclass(frozen=True)
class Stamp:
    """A stored time stamp of a seal."""

    seal: int
    reply: bytes
    roots_pem: bytes
    authority: str


class Source(Protocol):
    """A source of seals and rows."""

    def public_keys(self) -> list[PublicKey]:
        """Return the platform's keys, the oldest first."""

    def seals(self) -> Iterator[SealFacts]:
        """Yield the seals in the order in which they are stored."""

    def leaves(self, seal: SealFacts) -> tuple[bytes, bytes] | None:
        """Return the stored ids (8 bytes per row) and leaf hashes (32 bytes per row) of a seal.

        The result is None if they are missing.
        """

    def rows(self, table: str, after: int | None, upto: int) -> Iterator[tuple[int, bytes]] | None:
        """Yield (id, canonical JSON) of the rows with after < id <= upto.

        The result is None if the source does not know the table.
        """

    def rest(self, table: str, after: int | None) -> Iterable[int]:
        """Yield the ids of rows that no seal covers, in a source that must not hold such rows."""

    def unsealed(self, last: dict[str, int]) -> int:
        """Return the number of rows after the last seals. `last` maps a table to its last sealed id."""

    def stamps(self) -> Iterator[Stamp]:
        """Yield the time stamps."""


@dataclass(frozen=True)
class Head:
    """A head that was kept elsewhere: the number of a seal, and the root over all seals up to it."""

    seal: int
    log_root: bytes


def check_seals(
    source: Source,
    *,
    keys: Sequence[bytes] = (),
    heads: Sequence[Head] = (),
    check_stamp: Callable[[Stamp, bytes], str] | None = None,
    progress: Callable[[int], None] = lambda rows: None,
) -> CheckReport:
    """Check signatures, chain and rows of all seals. The contents of the source never cause an exception.

    `keys` are PEM keys from outside. One of them, or a key that they signed for in turn, must have signed the
    newest seal. `heads` must agree with the seals of the source. `check_stamp(stamp, signed bytes)` returns
    "" if a time stamp is valid, else the reason. `progress` gets the number of rows checked so far. An
    exception from `progress` stops the check.
    """
    check = _Check(source, progress)
    with contextlib.suppress(EnoughError):
        check.run(keys, heads, check_stamp)
    return check.report


class _Check:
    """The state of one run of check_seals."""

    def __init__(self, source: Source, progress: Callable[[int], None]) -> None:
        self.source, self.progress = source, progress
        self.report = CheckReport()
        self.log = merkle.Tree()
        self.last: dict[str, int] = {}  # table: last sealed id

    def run(
        self,
        pinned: Sequence[bytes],
        heads: Sequence[Head],
        check_stamp: Callable[[Stamp, bytes], str] | None,
    ) -> None:
        """Check everything, seal by seal."""
        known = {key.fingerprint: key for key in self.source.public_keys()}
        for key in known.values():
            if not key.linked:
                self.report.add("key_link", fingerprint=signing.grouped(key.fingerprint))
        trusted = trusted_keys(list(known.values()), pinned)
        self.report.pinned = bool(pinned)
        wanted = {head.seal: head for head in heads}
        stamps: dict[int, list[Stamp]] = {}
        for stamp in self.source.stamps() if check_stamp else ():
            stamps.setdefault(stamp.seal, []).append(stamp)
        before: SealFacts | None = None
        vouched, other = 0, ""
        for seal in self.source.seals():
            self._follows(seal, before)
            self._signed(seal, known)
            self._rows(seal)
            if seal.key in trusted:
                vouched = seal.number
            else:
                other = seal.key
            if (head := wanted.pop(seal.number, None)) and head.log_root != seal.log_root:
                self.report.add("head", seal=seal.number)
            for stamp in stamps.pop(seal.number, []):
                self.report.time_stamps += 1
                if check_stamp and (why := check_stamp(stamp, seal.statement())):
                    self.report.add("time_stamp", seal=seal.number, authority=stamp.authority, why=why)
            before = seal
            self.report.seals += 1
        for number in wanted:
            self.report.add("head", seal=number)
        for number in stamps:
            self.report.add("seal_missing", seal=number)
        if pinned and before is not None and vouched < before.number:
            self.report.add("key_other", seal=vouched, fingerprint=signing.grouped(other))
        for table in self.last:
            for pk in self.source.rest(table, self.last[table]):
                self.report.add("row_extra", table=table, id=pk)
        self.report.head = before.as_json() if before else {}
        self.report.unsealed = self.source.unsealed(self.last)

    def _follows(self, seal: SealFacts, before: SealFacts | None) -> None:
        expected = before.number + 1 if before else 1
        for missing in range(expected, min(seal.number, expected + 5)):
            self.report.add("seal_missing", seal=missing)
        if seal.number != expected:
            self.log = merkle.Tree()  # after a gap, log roots cannot be compared
        elif seal.previous != (before.hash() if before else b""):
            self.report.add("seal_chain", seal=seal.number)
        self.log.add(seal.hash())
        if seal.number == self.log.size and self.log.root() != seal.log_root:
            self.report.add("log_root", seal=seal.number)

    def _signed(self, seal: SealFacts, known: dict[str, PublicKey]) -> None:
        key = known.get(seal.key)
        if key is None:
            self.report.add("key_unknown", seal=seal.number)
        elif not signing.is_signed_by(key.pem, seal.signature, seal.statement()):
            self.report.add("seal_changed", seal=seal.number)

    def _rows(self, seal: SealFacts) -> None:
        """Compare the rows of a seal with its stored hashes, and these hashes with its root."""
        after = self.last.get(seal.table)
        if after is not None and seal.first_id <= after:
            self.report.add("seal_range", seal=seal.number)
        rows = self.source.rows(seal.table, after, seal.last_id)
        if rows is None:
            self.report.add("seal_table", seal=seal.number, table=seal.table)
            return
        self.last[seal.table] = seal.last_id
        kept = self._kept(seal)
        tree = merkle.Tree()  # over the rows of the source
        differing: dict[int, bytes] = {}
        newest = after
        for pk, content in rows:
            leaf = merkle.leaf_hash(content)
            tree.add(leaf)
            self.report.rows += 1
            if self.report.rows % STEP == 0:
                self.progress(self.report.rows)
            if newest is not None and pk <= newest:
                self.report.add("row_order", table=seal.table, id=pk)
            newest = pk
            if kept is not None and kept.get(pk) == leaf:
                del kept[pk]
            else:
                differing[pk] = content
        if kept is None:
            if tree.root() != seal.root:
                self.report.add(
                    "rows_differ", table=seal.table, seal=seal.number, first=seal.first_id, last=seal.last_id
                )
        elif kept or differing:
            self._name(seal, kept, differing)

    def _kept(self, seal: SealFacts) -> dict[int, bytes] | None:
        """Return id → leaf hash as stored for the seal, or None if the hashes do not give its root."""
        stored = self.source.leaves(seal)
        if stored is not None:
            ids, hashes = stored
            count = seal.rows
            if len(ids) == 8 * count and len(hashes) == 32 * count:
                leaves = [hashes[at : at + 32] for at in range(0, len(hashes), 32)]
                numbers = struct.unpack(f">{count}q", ids)
                kept = dict(zip(numbers, leaves, strict=True))
                if len(kept) == count and merkle.root_of(leaves) == seal.root:
                    return kept
        self.report.add("leaves", seal=seal.number)
        return None

    def _name(self, seal: SealFacts, kept: dict[int, bytes], differing: dict[int, bytes]) -> None:
        """Add a finding for each row that was changed, removed, inserted or exchanged."""
        where = {"table": seal.table, "seal": seal.number}
        by_hash = {leaf: pk for pk, leaf in kept.items()}
        moved: dict[int, int] = {}
        for pk in list(differing)[:MOST_MOVED]:
            for other in list(kept)[:MOST_MOVED]:
                if other != pk and by_hash.get(_as_row(differing[pk], other)) == other:
                    moved[pk] = other
        for pk in sorted({*kept, *differing}):
            if pk in moved:
                self.report.add("row_moved", id=pk, other=moved[pk], **where)
            elif pk in differing:
                self.report.add("row_changed" if pk in kept else "row_inserted", id=pk, **where)
            elif pk not in moved.values():
                self.report.add("row_removed", id=pk, **where)


def _as_row(content: bytes, pk: int) -> bytes:
    """Return the leaf hash that a row would have under another id, or b"" if the content is no row."""
    try:
        return merkle.leaf_hash(canonical({**json.loads(content), "id": pk}))
    except (ValueError, TypeError, RecursionError):
        return b""
