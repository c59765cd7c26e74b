"""The check that the ranks of a pool follow from its confidences, with little memory."""

import math
import os
import struct
import tempfile
from types import TracebackType

_SLOT = struct.Struct(">d32s")
_READ = 4096  # slots that are read at once
MOST = 1 << 28  # ranks; a larger number is not plausible


class RankCheck:
    """The candidates by rank, in a temporary file with a slot for each rank. Use it as a context manager."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 — closed by __exit__
        self.count = 0

    def __enter__(self) -> "RankCheck":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def put(self, rank: int, confidence: float, digest: bytes) -> bool:
        """Store a candidate, and return whether rank and confidence are possible. digest: 32 bytes."""
        if not 1 <= rank <= MOST or math.isnan(confidence):
            return False
        self.count += 1
        os.pwrite(self._file.fileno(), _SLOT.pack(confidence, digest), (rank - 1) * _SLOT.size)
        return True

    def first_fault(self) -> int | None:
        """Return the first rank that is missing or does not follow from confidence and digest, or None.

        The most confident candidate has rank 1. Equal confidences are ordered by ascending digest.
        """
        before = (-math.inf, b"")
        rank = 0
        self._file.seek(0)
        while piece := self._file.read(_SLOT.size * _READ):
            for confidence, digest in _SLOT.iter_unpack(piece):
                rank += 1
                place = (-confidence, digest)
                # A slot that was never written reads as zeros; no image has this digest.
                if not any(digest) or place <= before:
                    return rank
                before = place
        return None if rank == self.count else rank + 1
