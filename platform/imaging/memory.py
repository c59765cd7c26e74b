"""One memory budget for all decoding of this process; MEKIKI_DECODE_MEMORY_MB sets it.

A decoder says from the header of a file how many bytes it will need (`imaging.needs`). What fits into the budget beside
what is being decoded begins at once; what does not fit waits; what would never fit is refused.
"""

import ctypes
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from imaging.errors import ImagingError

DEFAULT_BYTES = 1024 << 20  # the budget where nothing set another one
_GIVE_BACK_FROM = 32 << 20  # bytes; below it, asking the C library costs more than it brings


class MemoryBudget:
    """Bytes that decoders of one process may use together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()
        self.highest = 0  # the most that was reserved at one time

    @property
    def limit(self) -> int:
        """Bytes of the budget."""
        return self._limit

    def set_limit(self, limit: int) -> None:
        """Set the budget of this process. Django's settings call it once at the start."""
        with self._changed:
            self._limit = limit
            self._changed.notify_all()

    @contextmanager
    def reserved(self, needed: int) -> Iterator[None]:
        """Hold so many bytes of the budget; first come, first served. ImagingError: too_much_memory.

        A thread that holds some must not ask for more: two such threads would wait for each other.
        """
        me = object()
        with self._changed:
            if needed > self._limit:
                raise ImagingError("too_much_memory", needed=needed, limit=self._limit)
            self._waiting.append(me)
            try:
                self._changed.wait_for(
                    lambda: self._waiting[0] is me and self._used + needed <= max(self._limit, needed)
                )
                self._used += needed
                self.highest = max(self.highest, self._used)
            finally:
                self._waiting.remove(me)
                self._changed.notify_all()
        try:
            yield
        finally:
            if needed >= _GIVE_BACK_FROM:
                give_back()
            with self._changed:
                self._used -= needed
                self._changed.notify_all()


budget = MemoryBudget(DEFAULT_BYTES)


def give_back() -> None:
    """Return freed memory to the system: the C library keeps blocks of decoded images for later otherwise."""
    if _malloc_trim is not None:
        _malloc_trim(0)


def _find_malloc_trim() -> Callable[[int], int] | None:
    try:
        malloc_trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim  # glibc only
    except (OSError, AttributeError, TypeError):
        return None
    return malloc_trim


_malloc_trim = _find_malloc_trim()
