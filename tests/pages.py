"""The HTML of pages in tests."""

import re


def without_gaps(html: str) -> str:
    """Return the HTML in one line, without the white space before and after tags."""
    return re.sub(r" ?(<[^>]+>) ?", r"\1", re.sub(r"\s+", " ", html))
