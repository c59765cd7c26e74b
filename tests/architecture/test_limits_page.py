"""docs/reference/limits.md: its codes exist, and the tests that it names exist and check these codes."""

import re
from collections.abc import Iterator
from pathlib import Path

from mekiki.datasets.messages import PROBLEMS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "limits.md"
CODE = re.compile(r"`([a-z]+(?:_[a-z]+)*)`")
TEST = re.compile(r"\b(?:tests/[\w/]+/)?test_\w+\.py")


def files_of(text: str) -> list[Path]:
    """Return the test files that a text names. A name without folder is in the folder of the one before."""
    files: list[Path] = []
    for name in TEST.findall(text):
        path = ROOT / name if name.startswith("tests/") else files[-1].parent / name
        assert path.is_file(), f"limits.md names {name}, which does not exist"
        files.append(path)
    return files


def rows() -> Iterator[tuple[str, str, list[Path]]]:
    """Yield (input, what it gets, test files) of each row of the page."""
    section: list[Path] = []
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith("## "):
            section = files_of(line)
            assert section, f"the section {line} names no test"
        elif line.startswith("| ") and section:
            given, gets = (cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("| "))[:2])
            if given != "input":
                yield given, gets, [*section, *files_of(gets)]


def test_every_code_is_registered_and_checked_by_a_named_test() -> None:
    n = 0
    for given, gets, files in rows():
        n += 1
        tests = "".join(path.read_text("utf-8") for path in files)
        for code in CODE.findall(gets):
            assert code in PROBLEMS, f"limits.md: {given}: there is no code {code}"
            assert code in tests, f"limits.md: {given}: no named test has the code {code}"
    assert n > 60
