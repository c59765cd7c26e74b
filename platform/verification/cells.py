"""Cells of a CSV file that are safe to open in a spreadsheet."""

# Spreadsheets read a cell that begins with one of these as a formula (OWASP, "CSV Injection"). The apostrophe
# is escaped too, so that `cell_text` restores every text.
_GUARDED = frozenset("=+-@\t\r\n＝＋－＠'")


def safe_cell(text: str) -> str:
    """Return text that a user wrote as a cell that no spreadsheet runs as a formula."""
    return f"'{text}" if text[:1] in _GUARDED else text


def cell_text(cell: str) -> str:
    """Return the text of a cell that `safe_cell` returned."""
    return cell[1:] if cell.startswith("'") else cell
