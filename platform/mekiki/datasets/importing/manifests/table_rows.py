"""CSV manifests: tables with a header, as metadata.csv."""

from mekiki.datasets.importing import tables
from mekiki.datasets.importing.manifests.rows import BadRow, Line, Open, ReadOptions, Rows, unnamed_row
from mekiki.datasets.problems import ProblemError


def read(open_file: Open, options: ReadOptions) -> Rows:
    """Yield the rows of a table. Raises ProblemError manifest_invalid if it is no table."""
    notes: list[Line] = []
    try:
        for row in tables.read_rows(open_file, tables.choose_encoding([open_file]), notes, options):
            yield row if row.location else unnamed_row(row.line)
    except ProblemError as problem:
        if problem.code != "metadata_invalid":
            raise
        raise ProblemError("manifest_invalid", **problem.detail) from None
    for note in notes:
        yield BadRow(0, note)
