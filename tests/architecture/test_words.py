"""Names are field terms and nouns. Words that do not describe the value of a name are not used.

docs/reference/glossary.md lists the terms to use.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "workers",
    "platform/imaging",
    "platform/intervals",
    "platform/verification",
    "platform/mekiki",
    "benchmarks",
)
TEST_HELPERS = [file for file in sorted((ROOT / "tests").rglob("*.py")) if not file.name.startswith("test_")]
VAGUE = {
    "aside",
    "each",
    "evenness",
    "fared",
    "found",
    "manieth",
    "opinion",
    "opinions",
    "said",
    "slips",
    "taught",
    "told",
}
# The first word of a docstring names what is returned or done.
VAGUE_BEGINNINGS = {"told", "said", "found", "fared"}
EXCEPTIONS = {
    "not_found": "the HTTP status",
    "opinions": "a field of the frozen label sets, whose bytes stay",
    "set_aside": "a column of the jobs: the items that are not processed any more",
    "SET_ASIDE": "the state of images that an admin took out of the review, as pages and glossary call it",
    "just_set_aside": "the new items of set_aside",
}


def names_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, name) of each function, class, argument, variable and attribute of a source."""
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


def vague_words_of(files: list[Path]) -> list[str]:
    """Return "file:line: word" of each vague word in these files, without migrations."""
    return [
        f"{file.relative_to(ROOT)}:{word}"
        for file in files
        if "migrations" not in file.parts
        for word in vague_words(file.read_text("utf-8"))
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_names_describe_their_values(package: str) -> None:
    words = vague_words_of(sorted((ROOT / package).rglob("*.py")))
    assert not words, "\n".join(words)


def test_names_in_test_helpers_say_what_they_hold() -> None:
    assert len(TEST_HELPERS) > 25
    words = vague_words_of(TEST_HELPERS)
    assert not words, "\n".join(words)


def test_vague_words_are_reported() -> None:
    source = '"""Told of."""\nfound_rows = 1\nfor each in []: pass\ndef image_of(said): self.told = 1\n'
    assert len(vague_words(source)) == 5
    assert vague_words("foundation = searched = 1") == []
