"""The version of the code that trains heads changes with the code and with nothing else."""

from pathlib import Path

import pytest

from workers.pocket.pictures import maker
from workers.source_digest import digest_of_sources
from workers.versions import code_version

SOURCE = '''"""A module."""

LIMIT = 3  # a comment


class Head:
    """A class."""

    def fit(self, x: int) -> int:
        """Fit it."""
        return x + LIMIT
'''


def digest(folder: Path, source: str, name: str = "head.py") -> str:
    for file in folder.iterdir():
        file.unlink()
    (folder / name).write_text(source)
    return digest_of_sources(folder)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# a comment", "# another comment"),
        ("Fit it.", "Train the head."),
        ('    """A class."""\n\n', ""),
        ("return x + LIMIT", "return (\n            x\n            + LIMIT\n        )"),
    ],
)
def test_comments_docstrings_and_formatting_do_not_change_the_digest(
    tmp_path: Path, before: str, after: str
) -> None:
    assert before in SOURCE
    assert digest(tmp_path, SOURCE) == digest(tmp_path, SOURCE.replace(before, after))


@pytest.mark.parametrize(
    ("before", "after"),
    [("LIMIT = 3", "LIMIT = 4"), ("x + LIMIT", "x - LIMIT"), ("return x", "x = 1; return x")],
)
def test_code_changes_the_digest(tmp_path: Path, before: str, after: str) -> None:
    assert before in SOURCE
    assert digest(tmp_path, SOURCE) != digest(tmp_path, SOURCE.replace(before, after))


def test_names_of_files_change_the_digest(tmp_path: Path) -> None:
    assert digest(tmp_path, SOURCE) != digest(tmp_path, SOURCE, "other.py")


def test_the_version_names_product_and_digest() -> None:
    product, _plus, heads = code_version().partition("+heads.")
    assert product and len(heads) == 12


def test_the_version_of_the_picture_generator_ignores_comments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "maker.py").write_text(SOURCE)
    monkeypatch.setattr(maker, "__file__", str(tmp_path / "maker.py"))
    before = maker.generator_digest()
    (tmp_path / "maker.py").write_text(SOURCE.replace("# a comment", "# another comment"))
    assert maker.generator_digest() == before
    (tmp_path / "maker.py").write_text(SOURCE.replace("LIMIT = 3", "LIMIT = 4"))
    assert maker.generator_digest() != before
