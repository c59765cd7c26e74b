"""The memory budget for all decoding of this process. MEKIKI_DECODE_MEMORY_MB sets it.

A decoder computes from the header of a file how many bytes it needs (`imaging.needs`). If they fit into the
rest of the budget, it starts at once, else it waits. A file that needs more than the whole budget is refused.
"""

import ctypes
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from imaging.errors import ImagingError

DEFAULT_BYTES = 1024 << 20  # the default budget
_GIVE_BACK_FROM = 32 << 20  # bytes; for less, the call of the C library costs more than it saves


class MemoryBudget:
    """The bytes that the decoders of a process may use together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()
        self.peak = 0  # the largest reservation so far, of all threads together

    @property
    def limit(self) -> int:
        """The bytes of the budget."""
        return self._limit

    def set_limit(self, limit: int) -> None:
        """Set the budget of this process. The app mekiki.datasets calls it at the start."""
        with self._changed:
            self._limit = limit
            self._changed.notify_all()

    @contextmanager
    def reserved(self, needed: int) -> Iterator[None]:
        """Reserve so many bytes of the budget for the block, first come, first served.

        Raises ImagingError("too_much_memory") if the whole budget is too small. A thread with a reservation
        must not request another one, because two such threads would wait for each other.
        """
        ticket = object()
        with self._changed:
            if needed > self._limit:
                raise ImagingError("too_much_memory", needed=needed, limit=self._limit)
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(
                    lambda: self._waiting[0] is ticket and self._used + needed <= max(self._limit, needed)
                )
                self._used += needed
                self.peak = max(self.peak, self._used)
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            if needed >= _GIVE_BACK_FROM:
                trim_heap()
            with self._changed:
                self._used -= needed
                self._changed.notify_all()


budget = MemoryBudget(DEFAULT_BYTES)


def trim_heap() -> None:
    """Return freed memory to the system. Otherwise the C library keeps the blocks of decoded images."""
    if _malloc_trim is not None:
        _malloc_trim(0)


def _find_malloc_trim() -> Callable[[int], int] | None:
    try:
        malloc_trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim  # glibc only
    except (OSError, AttributeError, TypeError):
        return None
    return malloc_trim


_malloc_trim = _find_malloc_trim()
