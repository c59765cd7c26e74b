"""Metadata from the path of a file by a pattern: `{line}/{camera}/{date}_{*}`.

A name in braces is a column and takes any text without a slash. `{*}` takes text that is not kept. The parts
of the pattern are compared with the last parts of the path, without the extension of the file.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from mekiki.datasets.importing.manifests.rows import MAX_KEYS, MAX_TEXT, clean

ANYTHING = "*"
MAX_PATTERN = 500
_PLACE = re.compile(r"\{([^{}/]*)\}")

Part = list[tuple[bool, str]]  # (is a column, its name or a literal text)


@dataclass(frozen=True)
class PathPattern:
    """A pattern that was read. Without parts it gives no values."""

    parts: tuple[tuple[tuple[bool, str], ...], ...] = ()

    @property
    def columns(self) -> list[str]:
        """Return the names of the columns in their order."""
        return [text for part in self.parts for is_column, text in part if is_column and text != ANYTHING]

    def values(self, name: str) -> dict[str, str]:
        """Return column → text for the path of a file, or nothing if the path does not fit."""
        if not self.parts:
            return {}
        path = name.replace("\\", "/").split("/")
        stem, dot, _ending = path[-1].rpartition(".")
        path[-1] = stem if dot and stem else path[-1]
        if len(path) < len(self.parts):
            return {}
        values: dict[str, str] = {}
        for part, text in zip(self.parts, path[-len(self.parts) :], strict=True):
            match = _match(part, text)
            if match is None:
                return {}
            values |= match
        return values


def _match(part: tuple[tuple[bool, str], ...], text: str) -> dict[str, str] | None:
    """Return the values of one part of a path, or None. Each column takes as little text as possible.

    The text is read once from left to right, so that no path takes long.
    """
    values: dict[str, str] = {}
    at = 0
    for number, (is_column, piece) in enumerate(part):
        if not is_column:
            if not text.startswith(piece, at):
                return None
            at += len(piece)
            continue
        if number + 1 == len(part):
            end = len(text)
        elif number + 2 == len(part):
            end = len(text) - len(part[-1][1])  # the last literal ends the text
            if end <= at or not text.endswith(part[-1][1]):
                return None
        else:
            end = text.find(part[number + 1][1], at + 1)
        if end <= at:
            return None
        if piece != ANYTHING and (value := clean(text[at:end])[:MAX_TEXT]):
            values[piece] = value
        at = end
    return values if at == len(text) else None


@lru_cache(maxsize=64)
def compile_pattern(pattern: str) -> PathPattern:
    """Return a pattern that can be applied. Raises ValidationError with the reason if it is not valid."""
    pattern = pattern.strip().strip("/")
    if not pattern:
        return PathPattern()
    if len(pattern) > MAX_PATTERN or not pattern.isprintable():
        raise _error(
            _("The pattern of the path has at most %(most)d characters, and no control characters.")
            % {"most": MAX_PATTERN}
        )
    parts = tuple(tuple(_pieces(part)) for part in pattern.split("/"))
    columns = PathPattern(parts).columns
    if not columns:
        raise _error(_("The pattern of the path names no column: write a name in braces, such as {camera}."))
    if len(set(columns)) < len(columns) or len(columns) > MAX_KEYS:
        raise _error(_("The pattern of the path uses a name twice, or too many names."))
    return PathPattern(parts)


def _pieces(part: str) -> Part:
    pieces: Part = []
    at = 0
    for match in _PLACE.finditer(part):
        if literal := part[at : match.start()]:
            pieces.append((False, literal))
        elif pieces:
            raise _error(_("Two names in the pattern of the path need a character between them."))
        name = clean(match[1])[:MAX_TEXT]
        if not name:
            raise _error(_("The pattern of the path has braces without a name."))
        pieces.append((True, name))
        at = match.end()
    if part[at:]:
        pieces.append((False, part[at:]))
    if not pieces or any("{" in text or "}" in text for is_column, text in pieces if not is_column):
        raise _error(_("The pattern of the path has an empty part or a brace that is not closed."))
    return pieces


def _error(text: str) -> ValidationError:
    return ValidationError({"path_pattern": text}, code="path_pattern")
