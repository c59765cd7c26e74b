"""Templates, scripts and style sheets have at most 120 columns. ruff checks the Python files."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WIDTH = 120
STATIC = ROOT / "platform/mekiki/web/static"


def long_lines(folder: Path, *endings: str) -> list[str]:
    """Return "file:line" of each line over WIDTH columns in the files below a folder."""
    return [
        f"{file.relative_to(folder)}:{number}"
        for file in sorted(folder.rglob("*"))
        if file.suffix in endings
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if len(line) > WIDTH
    ]


def test_templates_keep_to_the_width() -> None:
    assert long_lines(ROOT / "templates", ".html", ".txt") == []


def test_scripts_and_styles_keep_to_the_width() -> None:
    assert long_lines(STATIC, ".js", ".css") == []


def test_a_long_line_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(f"<p>\n{'x' * 121}\n{'x' * 120}\n", "utf-8")
    assert long_lines(tmp_path, ".html") == ["a.html:2"]
