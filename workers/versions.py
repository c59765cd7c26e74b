"""Which code made a head: the product's version and a digest of the sources that decide its weights."""

import hashlib
from functools import cache
from pathlib import Path

import mekiki


@cache
def code_version() -> str:
    """ "<version>+heads.<12 hex digits>": SHA-256 over the names and contents of workers/heads/*.py."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent / "heads"
    for file in sorted(folder.rglob("*.py")):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return f"{mekiki.__version__}+heads.{digest.hexdigest()[:12]}"
