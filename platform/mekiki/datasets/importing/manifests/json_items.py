"""JSON read item by item with flat memory. Only workers have ijson."""

from collections.abc import Iterator
from typing import Any

from mekiki.datasets.importing.manifests.rows import Open
from mekiki.datasets.problems import ProblemError


def items(open_file: Open, prefix: str) -> Iterator[Any]:
    """Yield the items of a JSON file at a prefix of ijson, for example "item" or "images.item".

    Raises ProblemError manifest_invalid if the file is no valid JSON.
    """
    import ijson

    with open_file() as file:
        try:
            yield from ijson.items(file, prefix, use_float=True)
        except (ijson.JSONError, ValueError, OverflowError, RecursionError):
            raise ProblemError("manifest_invalid", reason="json") from None


def pairs(open_file: Open, prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield (key, value) of a JSON object at a prefix. Raises the error of `items`."""
    import ijson

    with open_file() as file:
        try:
            yield from ijson.kvitems(file, prefix, use_float=True)
        except (ijson.JSONError, ValueError, OverflowError, RecursionError):
            raise ProblemError("manifest_invalid", reason="json") from None
