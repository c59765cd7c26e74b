"""The exception for a file that is not a readable image."""

from typing import Any


class ImagingError(Exception):
    """The reason why a file is not a readable image.

    `code` is one of empty_file, not_an_image, unsupported_format, svg, archive_kind, truncated, damaged,
    too_many_pixels and too_much_memory. `detail` holds numbers and names for a message.
    """

    def __init__(self, code: str, **detail: Any) -> None:
        super().__init__(f"{code} {detail}" if detail else code)
        self.code = code
        self.detail = detail
