"""Messages about tables of metadata in an import's report."""

from mekiki.config.messages import Messages, gettext_noop
from mekiki.datasets.messages.files import PROBLEMS, as_size

# Why a table of metadata was not used.
TABLE_PROBLEMS = Messages("tables of metadata")
TABLE_PROBLEMS.add("too_large", gettext_noop("It is too large."))
TABLE_PROBLEMS.add("encoding", gettext_noop("Its text encoding is unknown."))
TABLE_PROBLEMS.add("empty", gettext_noop("It is empty."))
TABLE_PROBLEMS.add("no_file_column", gettext_noop("It has no column “file”, “name” or “filename”."))
TABLE_PROBLEMS.add("format", gettext_noop("It is not a CSV file."))

PROBLEMS.add(
    "metadata_invalid",
    gettext_noop("The table of metadata could not be used: %(reason)s The images were imported without it."),
    gettext_noop("Give it a column “file” with the file names, and save it as CSV in UTF-8."),
    reason=TABLE_PROBLEMS.render,
)
PROBLEMS.add(
    "metadata_too_much",
    gettext_noop(
        "The tables of metadata of one import may have %(limit)s together. This table was not used. The "
        "images were imported without it."
    ),
    gettext_noop("Send the tables one after the other, without the images: known images are updated."),
    limit=as_size,
)
PROBLEMS.add(
    "metadata_too_many_rows",
    gettext_noop(
        "The tables of metadata of one import may have %(limit)s rows together. Rows of this table that were "
        "not read: %(count)s (%(rows)s)."
    ),
    gettext_noop("Put these rows into a separate table and send it afterwards: known images are updated."),
)
PROBLEMS.add(
    "metadata_rows_unused",
    gettext_noop("Rows not used: %(count)s of %(total)s; each is listed. The other rows were used."),
    gettext_noop("Correct the rows that are listed and send the table again: known images are updated."),
)
PROBLEMS.add(
    "metadata_row_unmatched",
    gettext_noop("Row %(row)s names “%(cell)s”, and no image has this name. The row was not used."),
    gettext_noop("Write the name as the list of images shows it, then send the table again."),
)
PROBLEMS.add(
    "metadata_row_ambiguous",
    gettext_noop("Row %(row)s names “%(cell)s”, and %(count)s images could be meant. The row was not used."),
    gettext_noop("Write the name with its folder, then send the table again."),
)
PROBLEMS.add(
    "metadata_row_conflict",
    gettext_noop(
        "Row %(row)s and another row give different values for one image (“%(cell)s”). Neither was used."
    ),
    gettext_noop("Keep one of the rows, then send the table again."),
)
PROBLEMS.add(
    "metadata_tables_differ",
    gettext_noop("Two tables give different values for this image (%(columns)s). The first table was used."),
    gettext_noop("Keep one value, then send the table again."),
)
PROBLEMS.add(
    "metadata_differs",
    gettext_noop("The image %(kept)s has other values from this import (kept / not used): %(columns)s."),
    gettext_noop("Decide which values are right, keep only that row, then send the table again."),
)
PROBLEMS.add(
    "metadata_second_table",
    gettext_noop("There are two tables of metadata in one folder. Both were used."),
    gettext_noop("No action is needed, unless one of them is an old copy."),
)
PROBLEMS.add(
    "metadata_columns",
    gettext_noop("Columns left out: %(count)s (%(columns)s). An image holds at most %(limit)s."),
    gettext_noop("Remove columns that you do not need, then send the table again."),
)
PROBLEMS.add(
    "metadata_columns_renamed",
    gettext_noop("The table has columns of the same name. They were kept as %(columns)s."),
    gettext_noop("Give each column a different name."),
)
PROBLEMS.add(
    "metadata_cut",
    gettext_noop(
        "Rows with cells longer than %(limit)s characters: %(count)s (%(rows)s). The beginning of the cells "
        "was kept."
    ),
    gettext_noop("Shorten them, then send the table again."),
)
PROBLEMS.add(
    "metadata_long_rows",
    gettext_noop(
        "Rows with more cells than the header: %(count)s (%(rows)s). The extra cells were not imported."
    ),
    gettext_noop("Put cells that hold the separator in quotes, then send the table again."),
)
PROBLEMS.add(
    "metadata_unnamed_rows",
    gettext_noop("Rows that name no file: %(count)s (%(rows)s). They were not used."),
    gettext_noop("Fill in the column with the file names, then send the table again."),
)
PROBLEMS.add(
    "metadata_no_number",
    gettext_noop(
        "Images whose “%(column)s” is no number: %(count)s. The texts were kept; ranges of numbers leave "
        "these images out."
    ),
    gettext_noop("Write numbers with a decimal point, or change the type of the field to text."),
)
PROBLEMS.add(
    "metadata_no_date",
    gettext_noop(
        "Images whose “%(column)s” is no date: %(count)s. The texts were kept; ranges of dates leave "
        "these images out."
    ),
    gettext_noop("Write dates as 2026-11-01, or change the type of the field to text."),
)
