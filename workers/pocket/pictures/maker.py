"""The version of the picture generator: stored pictures of another version are drawn again."""

from pathlib import Path

from workers.source_digest import digest_of_sources


def maker_digest() -> str:
    """Return a digest of the code and words of the picture generator, 64 characters.

    Comments and docstrings are excluded, because they cannot change a picture.
    """
    return digest_of_sources(Path(__file__).parent)
