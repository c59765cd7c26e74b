"""The code version of a head: the product's version and a digest of the relevant sources."""

from functools import cache
from pathlib import Path

import mekiki
from workers.source_digest import digest_of_sources


@cache
def code_version() -> str:
    """Return "<version>+heads.<12 hex digits>": a digest of workers/heads/*.py."""
    return f"{mekiki.__version__}+heads.{digest_of_sources(Path(__file__).parent / 'heads')[:12]}"
