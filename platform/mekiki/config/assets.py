"""A tag for the static files of this installation, which is part of their URLs.

The tag is in the path, not in a query. A style sheet or module that imports a file by a relative URL
therefore uses the tag too. Browsers may cache every file permanently, because an upgrade changes all URLs at
once. An installation needs no collectstatic step before its first page.
"""

import hashlib
import re
from importlib.metadata import version
from pathlib import Path


def asset_version(package: Path) -> str:
    """Return ten hex digits that change when a static file changes.

    The digits cover the static files of all apps of the package, and the version of django-htmx, which
    contains htmx.
    """
    digest = hashlib.sha256(version("django-htmx").encode())
    for path in sorted(package.glob("*/static/**/*")):
        if path.is_file():
            digest.update(path.relative_to(package).as_posix().encode() + b"\0")
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:10]


_IMPORT = re.compile(r'@import url\("([^"]+)"\) layer\((\w+)\);')


def join_style_sheets(entry: Path) -> str:
    """Return a style sheet with the sheets that it imports, each as a block of its layer."""

    def block(match: re.Match[str]) -> str:
        return f"@layer {match[2]} {{\n{(entry.parent / match[1]).read_text('utf-8')}}}\n"

    return _IMPORT.sub(block, entry.read_text("utf-8"))
