"""Functions that higher apps register to be called when another head is put in use."""

from collections.abc import Callable

from mekiki.learning.models import Head

_AFTER_PROMOTION: list[Callable[[Head], None]] = []


def register_promotion_hook(act: Callable[[Head], None]) -> None:
    """Register a function to call after a head was promoted, in the same transaction.

    Called by an app when it is ready.
    """
    _AFTER_PROMOTION.append(act)


def run_promotion_hooks(head: Head) -> None:
    """Call the registered functions for a head that was just promoted."""
    for act in _AFTER_PROMOTION:
        act(head)
