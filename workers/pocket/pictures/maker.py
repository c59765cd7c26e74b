"""The version of the picture generator: stored pictures of another version are drawn again."""

import hashlib
from pathlib import Path


def maker_digest() -> str:
    """Return a digest of the code and words of the picture generator, 64 characters."""
    files = sorted(Path(__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
