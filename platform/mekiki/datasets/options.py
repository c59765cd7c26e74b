"""What a user chooses when an import is started, the same for every source."""

from dataclasses import asdict, dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from mekiki.datasets.importing import path_patterns
from mekiki.datasets.importing.manifests.rows import clean
from mekiki.datasets.models import ImportBatch

MAX_SOURCE_NAME = 100


@dataclass(frozen=True)
class ImportOptions:
    """The options of an import.

    every_page: every page of a TIFF becomes an image, not only the largest. label_use: a value of
    ImportBatch.LabelUse. label_source: the name under which the labels are shown. label_column: the column of
    a table that has them. folder_labels: the names of folders are labels. read_exif: capture metadata of the
    files becomes metadata of the images. keep_place: with the place. path_pattern: see path_patterns.
    """

    every_page: bool = False
    label_use: str = ImportBatch.LabelUse.IGNORE
    label_source: str = ""
    label_column: str = ""
    folder_labels: bool = False
    read_exif: bool = False
    keep_place: bool = False
    path_pattern: str = ""

    def columns(self, title: str) -> dict[str, Any]:
        """Return the columns of a new import. `title`: the name of the source if nobody named it.

        Raises ValidationError if an option is not valid.
        """
        columns = asdict(self)
        if self.label_use not in ImportBatch.LabelUse.values:
            raise ValidationError({"label_use": _("Choose what happens with the labels.")}, code="label_use")
        name = clean(self.label_source)
        if len(name) > MAX_SOURCE_NAME:
            raise ValidationError(
                {
                    "label_source": _("The name of the source has at most %(most)d characters.")
                    % {"most": MAX_SOURCE_NAME}
                },
                code="label_source",
            )
        is_ignored = self.label_use == ImportBatch.LabelUse.IGNORE
        columns["label_source"] = "" if is_ignored else (name or title or "import")[:MAX_SOURCE_NAME]
        columns["folder_labels"] = self.folder_labels and not is_ignored
        columns["label_column"] = clean(self.label_column)[:200]
        path_patterns.compile_pattern(self.path_pattern)
        return columns | {"title": title}


DEFAULTS = ImportOptions()
