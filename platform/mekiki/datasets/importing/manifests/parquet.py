"""Parquet manifests, read a few hundred rows at a time. Only workers have pyarrow."""

from typing import Any

from mekiki.datasets.importing.manifests.rows import ObjectRows, Open, ReadOptions, Rows
from mekiki.datasets.problems import ProblemError

_BATCH = 500
# Unpacked bytes of one column in one group of rows. A file of some kilobytes can claim terabytes.
MAX_COLUMN_BYTES = 512 * 1024 * 1024
MAX_COLUMNS = 10_000


def read(open_file: Open, options: ReadOptions) -> Rows:
    """Yield the rows of a Parquet file.

    Raises ProblemError manifest_invalid if it is damaged, or if a column of a group of rows is too large.
    Columns of lists and bytes are left out, which the report states.
    """
    import pyarrow
    import pyarrow.parquet

    objects = ObjectRows(options)
    with open_file() as file:
        try:
            table = pyarrow.parquet.ParquetFile(file, memory_map=False, pre_buffer=False)
            columns = _columns(table, objects)
            number = 0
            for batch in table.iter_batches(batch_size=_BATCH, columns=columns):
                for item in batch.to_pylist():
                    number += 1
                    yield objects.row(number, item)
        except (pyarrow.ArrowException, OSError, ValueError, OverflowError):
            raise ProblemError("manifest_invalid", reason="parquet") from None
    yield from objects.lines()


def count(open_file: Open) -> int:
    """Return the number of rows that the file states, or 0."""
    import pyarrow
    import pyarrow.parquet

    with open_file() as file:
        try:
            return int(pyarrow.parquet.ParquetFile(file).metadata.num_rows)
        except (pyarrow.ArrowException, OSError, ValueError):
            return 0


def _columns(table: Any, objects: ObjectRows) -> list[str]:
    """Return the names of the columns with simple values, and of `image.path`."""
    import pyarrow

    stated = table.metadata
    if stated.num_columns > MAX_COLUMNS:
        raise ProblemError("manifest_invalid", reason="too_large")
    wanted = []
    for column in table.schema_arrow:
        kind = column.type
        if pyarrow.types.is_dictionary(kind):
            kind = kind.value_type
        if pyarrow.types.is_struct(kind) and kind.get_field_index("path") >= 0:
            wanted.append(f"{column.name}.path")
        elif pyarrow.types.is_nested(kind) or pyarrow.types.is_binary(kind):
            objects.notes.column("manifest_nested", column.name)
        else:
            wanted.append(column.name)
    for group in range(stated.num_row_groups):
        for number in range(stated.num_columns):
            column = stated.row_group(group).column(number)
            if column.path_in_schema in wanted and column.total_uncompressed_size > MAX_COLUMN_BYTES:
                raise ProblemError("manifest_invalid", reason="too_large")
    return wanted
