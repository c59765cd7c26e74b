"""The check that every decision and event of a label set was sealed. It uses only the zip and little memory.

Each row with a decision holds its position (number of the seal, index under it) and the rest of the sealed
record. The leaf hash of the row is written to this position in a file on the disk. seals.jsonl holds, for
each seal, the hashes of the subtrees without a row of the set. Together they must give the signed root.
"""

import json
import mmap
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from verification import merkle, signing
from verification.canonical import canonical
from verification.statements import SealFacts

TABLE = "decisions"
TABLES = (TABLE, "events")
MAX_ROWS = 1 << 17  # under one seal; the platform writes at most half as many
MAX_TOTAL = 1 << 28  # under all seals of a label set
_EMPTY = bytes(32)


@dataclass(frozen=True)
class _Place:
    facts: SealFacts
    offset: int  # of the seal's first slot


def sealed_record(row: dict[str, Any]) -> dict[str, Any]:
    """Return the sealed record of a row's decision. Raises KeyError or TypeError if it is no such row."""
    sealed = row["sealed"]
    return {
        "id": row["decision_id"],
        "dataset_id": sealed["dataset_id"],
        "image_id": sealed["image_id"],
        "image_sha256": row["image_sha256"],
        "item_id": sealed["item_id"],
        "user_id": sealed["user_id"],
        "kind": row["decision_kind"],
        "label_id": row["label_id"],
        "note_sha256": sealed["note_sha256"],
        "shown": sealed["shown"],
        "supersedes_id": sealed["supersedes_id"],
        "client_key": sealed["client_key"],
        "late": row["late"],
        "milliseconds": sealed["milliseconds"],
        "created_at": row["decided_at"],
    }


class Proofs:
    """The seals of a label set and the leaf hashes of its rows, in a file. Use it as a context manager."""

    def __init__(self) -> None:
        self._places: dict[int, _Place] = {}
        self._slots = 0
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 — closed by __exit__
        self._map: mmap.mmap | None = None

    def __enter__(self) -> "Proofs":
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._map is not None:
            self._map.close()
        self._file.close()

    def take(self, lines: Iterable[bytes]) -> None:
        """Read the seals.

        Raises ValueError, KeyError or TypeError if the lines are not those of seals.jsonl.
        """
        newest = 0
        for line in lines:
            facts = SealFacts.from_json(json.loads(line)["seal"])
            if facts.table not in TABLES or facts.number <= newest or not 0 < facts.rows <= MAX_ROWS:
                raise ValueError
            newest = facts.number
            self._places[newest] = _Place(facts, self._slots)
            self._slots += facts.rows
            if self._slots > MAX_TOTAL:
                raise ValueError
        if self._slots:
            self._file.truncate(self._slots * 32)  # a sparse file: only written parts take space
            self._map = mmap.mmap(self._file.fileno(), self._slots * 32)

    def put(self, row: dict[str, Any]) -> bool:
        """Store the leaf hash of a row's decision; return whether its position exists and was free."""
        leaf = merkle.leaf_hash(canonical(sealed_record(row)))
        return self.put_leaf(TABLE, row["sealed"]["seal"], row["sealed"]["index"], leaf)

    def put_leaf(self, table: str, number: int, index: int, leaf: bytes, *, repeated: bool = False) -> bool:
        """Store the leaf hash of a sealed row; return whether its position exists and was free.

        `repeated` also accepts a position that holds this leaf already.
        """
        place = self._places.get(number) if type(number) is int else None
        if place is None or place.facts.table != table or self._map is None:
            return False
        if type(index) is not int or not 0 <= index < place.facts.rows:
            return False
        at = (place.offset + index) * 32
        present = self._map[at : at + 32]
        if present != _EMPTY:
            return repeated and present == leaf
        self._map[at : at + 32] = leaf
        return True

    def check(
        self, lines: Iterable[bytes], keys: dict[str, bytes], bad: Callable[[int, str], None]
    ) -> SealFacts | None:
        """Call bad(number, code) for each seal that is not valid; return the newest seal.

        `lines` are the lines that `take` read, read again because they can be long. `keys` maps a fingerprint
        to PEM. The codes are "seal_signature", "seal_rows" and "seal_log".
        """
        log = merkle.Tree()
        newest = None
        for (number, place), text in zip(self._places.items(), lines, strict=True):
            newest = place.facts
            pem = keys.get(newest.key)
            if pem is None or not signing.is_signed_by(pem, newest.signature, newest.statement()):
                bad(number, "seal_signature")
            line = json.loads(text)
            try:
                genuine = self._gives_root(place, _Hashes(line["gaps"]))
            except (ValueError, KeyError, TypeError):
                genuine = False
            if not genuine:
                bad(number, "seal_rows")
            try:
                before = _Hashes(line["before"])
                for _at, level in merkle.subtrees(log.size, number - 1):
                    log.add(before.next(), level)
                before.end()
            except (ValueError, KeyError, TypeError):
                bad(number, "seal_log")
                return newest
            log.add(newest.hash())
        if newest is not None and log.root() != newest.log_root:
            bad(newest.number, "seal_log")
        return newest

    def _gives_root(self, place: _Place, gaps: "_Hashes") -> bool:
        """Return whether the stored leaf hashes and the hashes of the gaps give the root of the seal."""
        assert self._map is not None
        rows = place.facts.rows
        leaves = self._map[place.offset * 32 : (place.offset + rows) * 32]
        tree = merkle.Tree()
        index = 0
        used = False
        while index < rows:
            leaf = leaves[index * 32 : index * 32 + 32]
            if leaf != _EMPTY:
                tree.add(leaf)
                used = True
                index += 1
                continue
            stop = index
            while stop < rows and leaves[stop * 32 : stop * 32 + 32] == _EMPTY:
                stop += 1
            for _at, level in merkle.subtrees(index, stop):
                tree.add(gaps.next(), level)
            index = stop
        gaps.end()
        return used and tree.root() == place.facts.root


class _Hashes:
    """A sequence of hashes in hexadecimal digits, read one by one."""

    def __init__(self, digits: str) -> None:
        self._bytes = bytes.fromhex(digits)
        self._at = 0

    def next(self) -> bytes:
        """Return the next hash. Raises ValueError if there is none."""
        leaf = self._bytes[self._at : self._at + 32]
        if len(leaf) != 32:
            raise ValueError("A hash is missing.")
        self._at += 32
        return leaf

    def end(self) -> None:
        """Raise ValueError if a hash is left."""
        if self._at != len(self._bytes):
            raise ValueError("A hash is left.")
