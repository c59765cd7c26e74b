"""Names are field terms and nouns: words that say nothing of what a name holds do not come back.

A package joins `PLAIN` when its names have been gone through (docs/reference/glossary.md has the terms to use).
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLAIN = (
    "workers",
    "platform/imaging",
    "platform/verification/label_set",
    "platform/mekiki/datasets",
    "platform/mekiki/labeling",
    "platform/mekiki/review",
    "platform/mekiki/learning",
    "platform/mekiki/exports",
    "platform/mekiki/web",
    "platform/mekiki/config",
    "platform/mekiki/api",
    "platform/mekiki/simulation",
    "platform/mekiki/jobs",
)
VAGUE = {"found", "told", "said", "each", "fared", "manieth", "taught", "slips", "evenness"}
# A docstring says what is returned or done: it begins with a verb or a noun.
VAGUE_BEGINNINGS = {"told", "said", "found", "fared"}
EXCEPTIONS = {"not_found"}  # the HTTP status


def names_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, name) of everything that a source names: functions, classes, arguments, variables, attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def vague_words(source: str) -> list[str]:
    """Return "line: word" for each vague name and each docstring that begins with a vague word."""
    tree = ast.parse(source)
    words = [
        f"{line}: {name}"
        for line, name in names_of(tree)
        if VAGUE & set(re.findall(r"[a-z]+", name.lower())) and name not in EXCEPTIONS
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = (ast.get_docstring(node) or "x").split(maxsplit=1)[0].strip(".,:").lower()
            if first in VAGUE_BEGINNINGS:
                words.append(f"{getattr(node, 'lineno', 1)}: docstring begins with “{first}”")
    return words


@pytest.mark.parametrize("package", PLAIN)
def test_names_say_what_they_hold(package: str) -> None:
    words = [
        f"{file.relative_to(ROOT)}:{word}"
        for file in sorted((ROOT / package).rglob("*.py"))
        for word in vague_words(file.read_text("utf-8"))
    ]
    assert not words, "\n".join(words)


def test_vague_words_are_seen() -> None:
    source = '"""Told of."""\nfound_rows = 1\nfor each in []: pass\ndef image_of(said): self.told = 1\n'
    assert len(vague_words(source)) == 5
    assert vague_words("foundation = searched = 1") == []
