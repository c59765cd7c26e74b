"""A digest of source files that changes with their code, not with their comments."""

import ast
import hashlib
from pathlib import Path


def digest_of_sources(folder: Path) -> str:
    """Return the SHA-256 (hex) over the names and the code of all *.py files below a folder.

    Comments, docstrings and formatting are excluded, because they change no result.
    """
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        code = _code_of(file.read_text("utf-8"))
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + code.encode() + b"\0")
    return digest.hexdigest()


def _code_of(source: str) -> str:
    """Return a source without comments, docstrings and original formatting."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
