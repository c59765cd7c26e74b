"""Why a file is not an image that can be read."""

from typing import Any


class ImagingError(Exception):
    """`code` says why: empty_file, not_an_image, unsupported_format, svg, archive_kind, truncated, damaged,
    too_many_pixels, too_much_memory. `detail` holds the numbers and names of a message about it."""

    def __init__(self, code: str, **detail: Any) -> None:
        super().__init__(f"{code} {detail}" if detail else code)
        self.code = code
        self.detail = detail
