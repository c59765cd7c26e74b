"""A tag for the static files of this installation, to be part of their address.

With the tag in the path, not in a query, what a style sheet or a module imports by a relative address
carries it too: browsers may keep every file for ever, an upgrade changes all addresses at once, and no
collectstatic step stands between an install and its first page.
"""

import hashlib
from importlib.metadata import version
from pathlib import Path


def tag(package: Path) -> str:
    """Ten hex digits that change when a static file of a package's apps, or the htmx beside them, does."""
    digest = hashlib.sha256(version("django-htmx").encode())
    for path in sorted(package.glob("*/static/**/*")):
        if path.is_file():
            digest.update(path.relative_to(package).as_posix().encode() + b"\0")
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:10]
