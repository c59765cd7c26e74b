"""Canonical JSON (RFC 8785): every implementation writes the same text for the same value."""

import json
from typing import Any

import rfc8785

_encode = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False, check_circular=False
).encode
_MOST = 2**53 - 1


def canonical(value: Any) -> bytes:
    """Return the value as canonical JSON.

    Raises ValueError for values that RFC 8785 cannot express: NaN, infinities, integers beyond 2^53 - 1 and
    texts that are not Unicode.
    """
    if _is_plain(value):
        return _encode(value).encode()
    return rfc8785.dumps(value)


def _is_plain(value: Any) -> bool:
    """Return whether the JSON encoder of Python writes the bytes that RFC 8785 requires.

    The encoder of Python is faster. It differs in the order of keys beyond ASCII, and in some floating-point
    numbers.
    """
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return True
    if kind is int:
        return -_MOST <= value <= _MOST
    if kind is float:
        return 1e-4 <= abs(value) < 1e16 and not value.is_integer()
    if kind is dict:
        return all(type(key) is str and key.isascii() and _is_plain(item) for key, item in value.items())
    return kind is list and all(map(_is_plain, value))
