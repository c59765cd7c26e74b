"""Messages about manifests, addresses and labels that come with images, in an import's report."""

from mekiki.config.messages import Messages, gettext_noop
from mekiki.datasets.messages.files import PROBLEMS
from mekiki.datasets.messages.tables import TABLE_PROBLEMS

TABLE_PROBLEMS.add("json", gettext_noop("Its JSON is damaged."))
TABLE_PROBLEMS.add("parquet", gettext_noop("The Parquet file is damaged."))

# Why a row of a manifest cannot be read.
ROW_PROBLEMS = Messages("rows of manifests")
ROW_PROBLEMS.add("json", gettext_noop("It is no valid JSON."))
ROW_PROBLEMS.add("object", gettext_noop("It is no JSON object."))
ROW_PROBLEMS.add("encoding", gettext_noop("It is not UTF-8."))
ROW_PROBLEMS.add("too_long", gettext_noop("It is too long."))

_CORRECT_ROW = gettext_noop(
    "Correct the row, then import the manifest again: images that are already stored are skipped."
)
_TRY_LATER = gettext_noop(
    "Check the address in a browser, then import the manifest again: images that are already stored are "
    "skipped."
)

PROBLEMS.add(
    "manifest_invalid",
    gettext_noop("The manifest could not be read to its end: %(reason)s"),
    gettext_noop(
        "Save it as CSV in UTF-8, JSONL, Parquet, or in the JSON of Label Studio, COCO or FiftyOne, then "
        "import it again."
    ),
    reason=TABLE_PROBLEMS.render,
)
PROBLEMS.add(
    "manifest_row_unnamed", gettext_noop("Row %(row)s names no file. It was not used."), _CORRECT_ROW
)
PROBLEMS.add(
    "manifest_row_unreadable",
    gettext_noop("Row %(row)s could not be read: %(reason)s"),
    _CORRECT_ROW,
    reason=ROW_PROBLEMS.render,
)
PROBLEMS.add(
    "manifest_nested",
    gettext_noop("Columns with lists, objects or bytes were left out: %(columns)s."),
    gettext_noop("Put their values into plain columns if you need them."),
)
PROBLEMS.add(
    "manifest_no_label_column",
    gettext_noop("There is no column “%(column)s” with labels. The images were imported without labels."),
    gettext_noop(
        "Name the column as the file writes it, then import the file again: known images get their labels."
    ),
)
PROBLEMS.add(
    "manifest_several_labels",
    gettext_noop("“%(cell)s” has annotations of several categories. It was imported without a label."),
    gettext_noop("Cut it into images with one category each, or label it in the review."),
)
PROBLEMS.add(
    "manifest_no_folder",
    gettext_noop("The row names a path, and no folder was chosen that paths start from."),
    gettext_noop(
        "Choose the folder of the images when you import the manifest, or write addresses (https://…)."
    ),
)
PROBLEMS.add(
    "manifest_file_missing",
    gettext_noop("There is no file of this name in the folder of the manifest."),
    _CORRECT_ROW,
)
PROBLEMS.add(
    "url_invalid",
    gettext_noop("This is no address that can be fetched."),
    gettext_noop("Write an address that begins with https:// or http://, without a user name or password."),
)
PROBLEMS.add(
    "url_refused",
    gettext_noop("The address of %(host)s is in a private or special network. Nothing was fetched."),
    gettext_noop(
        "Ask an admin of the platform to add its network to MEKIKI_IMPORT_NETWORKS, or send the files."
    ),
)
PROBLEMS.add(
    "url_redirects",
    gettext_noop("The address redirects more than %(limit)s times."),
    gettext_noop("Write the address of the image itself."),
)
PROBLEMS.add("url_status", gettext_noop("%(host)s answered with status %(status)s."), _TRY_LATER)
PROBLEMS.add("url_unreachable", gettext_noop("%(host)s could not be reached (%(reason)s)."), _TRY_LATER)
PROBLEMS.add(
    "url_slow", gettext_noop("%(host)s did not send the file within %(seconds)s seconds."), _TRY_LATER
)
PROBLEMS.add(
    "url_encoded",
    gettext_noop("%(host)s sent the file compressed. It was not unpacked."),
    gettext_noop("Set up the server to send images as they are."),
)
PROBLEMS.add(
    "objects_unchanged",
    gettext_noop(
        "Objects that an earlier import took and that did not change: %(count)s. They were not fetched."
    ),
    gettext_noop("No action is needed."),
)
PROBLEMS.add(
    "object_unreadable",
    gettext_noop("The object could not be read (%(reason)s)."),
    gettext_noop("Import again: objects that are already stored are not fetched."),
)
PROBLEMS.add(
    "folder_labels_missing",
    gettext_noop("Files outside the folders of labels: %(count)s. They were imported without a label."),
    gettext_noop("Put them into the folder of their label (%(names)s) and import them again."),
)
PROBLEMS.add(
    "folder_labels_unclear",
    gettext_noop(
        "Which folders are labels is unclear (%(names)s). Files that were imported without a label: "
        "%(count)s."
    ),
    gettext_noop("Use one folder for each label, alone or below folders such as train and test."),
)
PROBLEMS.add(
    "label_names_too_many",
    gettext_noop(
        "The labels have more than %(limit)s different names. Labels with further names were left out."
    ),
    gettext_noop("Check that the column holds labels and no free text."),
)
PROBLEMS.add(
    "labels_differ",
    gettext_noop(
        "This image has different labels in this import. All are kept, and no head is trained on them."
    ),
    gettext_noop("No action is needed. To train on the image, label it in the review."),
)
