"""The exception for a file that is not a readable image."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

# Parts of the libraries' error messages for a file that ends too early.
_ENDS_EARLY = "truncat|unexpected end|broken data|requires a buffer|index out of range|premature"


class ImagingError(Exception):
    """The reason why a file is not a readable image.

    `code` is one of empty_file, not_an_image, unsupported_format, svg, archive_kind, truncated, damaged,
    too_many_pixels, too_much_memory and no_memory. `detail` holds numbers and names for a message.
    """

    def __init__(self, code: str, **detail: Any) -> None:
        super().__init__(f"{code} {detail}" if detail else code)
        self.code = code
        self.detail = detail


@contextlib.contextmanager
def wrap_library_errors() -> Iterator[None]:
    """Raise ImagingError (truncated or damaged) for any other exception of a library, except MemoryError.

    Libraries raise many kinds of exceptions for damaged data.
    """
    try:
        yield
    except (ImagingError, MemoryError):
        raise
    except Exception as error:
        short = isinstance(error, EOFError) or re.search(_ENDS_EARLY, str(error))
        raise ImagingError("truncated" if short else "damaged") from None
