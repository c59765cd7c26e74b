"""The contents of a seal in the form that is hashed, signed, exported and checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from verification import merkle
from verification.canonical import canonical

FORMAT = "mekiki-seal"
VERSION = 1
NONE = b""


@dataclass(frozen=True)
class SealFacts:
    """The contents of one seal.

    Hashes are raw bytes. `key` is the key's fingerprint in hexadecimal digits.
    """

    number: int
    table: str
    first_id: int
    last_id: int
    rows: int
    root: bytes
    previous: bytes
    sealed_at: str  # "2026-11-29T08:00:00.000000Z"
    key: str
    log_root: bytes = NONE
    signature: bytes = NONE

    def body(self) -> dict[str, Any]:
        """Return the fields about the seal's rows and the previous seal."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "number": self.number,
            "table": self.table,
            "first_id": self.first_id,
            "last_id": self.last_id,
            "rows": self.rows,
            "root": self.root.hex(),
            "previous": self.previous.hex(),
            "sealed_at": self.sealed_at,
            "key": self.key,
        }

    def hash(self) -> bytes:
        """Return the hash of the seal. It is a leaf of the tree of seals, and the next seal contains it."""
        return merkle.leaf_hash(canonical(self.body()))

    def statement(self) -> bytes:
        """Return the bytes that are signed and time-stamped: the body and the root of the tree of seals."""
        return canonical({**self.body(), "log_root": self.log_root.hex()})

    def as_json(self) -> dict[str, Any]:
        """Return the statement with its signature, for files."""
        return {**self.body(), "log_root": self.log_root.hex(), "signature": self.signature.hex()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "SealFacts":
        """Return the seal that `as_json` wrote.

        Raises ValueError, KeyError or TypeError for anything else.
        """
        if value["format"] != FORMAT or value["version"] != VERSION:
            raise ValueError("It is a seal of another version.")
        fields: dict[str, Any] = {}
        for name in ("number", "first_id", "last_id", "rows", "table", "sealed_at", "key"):
            fields[name] = value[name]
            if type(value[name]) is not (str if name in {"table", "sealed_at", "key"} else int):
                raise TypeError("A field of the seal has another type.")
        for name in ("root", "previous", "log_root", "signature"):
            fields[name] = bytes.fromhex(value[name])
        return cls(**fields)
