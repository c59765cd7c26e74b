"""Forms that start an import: the options of every import, a manifest, and a folder on the server."""

from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from mekiki.datasets.models import ImportBatch
from mekiki.datasets.options import MAX_SOURCE_NAME, ImportOptions


class ImportOptionsForm(forms.Form):
    """The options of an import, as ImportOptions. The services check the values."""

    label_use = forms.ChoiceField(
        label=_("Labels that come with the images"),
        choices=ImportBatch.LabelUse.choices,
        initial=ImportBatch.LabelUse.IGNORE,
        widget=forms.RadioSelect,
        required=False,
        help_text=_("They are shown with the name of their source. They are never answers of reviewers."),
    )
    label_source = forms.CharField(
        label=_("Name of the source"),
        max_length=MAX_SOURCE_NAME,
        required=False,
        help_text=_("For example, the tool or the supplier. If empty: the name of the file."),
    )
    label_column = forms.CharField(
        label=_("Column with the labels"),
        max_length=200,
        required=False,
        help_text=_("If empty: a column with a usual name, such as “label” or “ラベル”."),
    )
    folder_labels = forms.BooleanField(
        label=_("The names of the folders are labels"),
        required=False,
        help_text=_("Folders such as train and test above them are passed over."),
    )
    read_exif = forms.BooleanField(
        label=_("Read capture metadata of the camera (EXIF)"),
        required=False,
        help_text=_("Time, camera, lens and exposure. Not the place."),
    )
    keep_place = forms.BooleanField(
        label=_("Also keep the place (GPS)"),
        required=False,
        help_text=_("The place may show where a person was."),
    )
    path_pattern = forms.CharField(
        label=_("Metadata from the path"),
        max_length=500,
        required=False,
        help_text=_(
            "A pattern such as {line}/{camera}/{date}_{*}. Click on the parts of an example to build it."
        ),
        widget=forms.TextInput(attrs={"data-path-pattern": "", "autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)


class ManifestForm(ImportOptionsForm):
    """A manifest that is sent, and the folder of the server that its paths start from."""

    manifest = forms.FileField(
        label=_("Manifest"),
        help_text=_(
            "CSV, JSONL or Parquet with a column “file” or “url”, or the JSON of Label Studio or COCO. Other "
            "columns are metadata."
        ),
        widget=forms.FileInput(attrs={"accept": ".csv,.tsv,.jsonl,.ndjson,.json,.parquet"}),
    )
    folder = forms.CharField(label=_("Folder that the paths start from"), required=False)
    field_order = ("manifest", "folder")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if settings.IMPORT_FOLDERS:
            self.fields["folder"].help_text = allowed_folders_text()
        else:
            del self.fields["folder"]


class FolderForm(ImportOptionsForm):
    """A folder, a zip, a manifest or an image below a folder that the server allows."""

    path = forms.CharField(label=_("Path on the server"))
    watch = forms.BooleanField(
        label=_("Watch the folder"),
        required=False,
        help_text=_("New files are imported when two scans have seen them unchanged."),
    )
    minutes = forms.IntegerField(
        label=_("Minutes between two scans"), min_value=1, max_value=1440, initial=5, required=False
    )
    field_order = ("path", "watch", "minutes")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["path"].help_text = allowed_folders_text()


class BucketForm(ImportOptionsForm):
    """Objects of a bucket that the server allows."""

    address = forms.CharField(label=_("Address of the bucket"), max_length=500)
    field_order = ("address",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        allowed = ", ".join(settings.IMPORT_BUCKETS)
        self.fields["address"].help_text = str(_("One of these, or a longer prefix: %(buckets)s")) % {
            "buckets": allowed
        }


def allowed_folders_text() -> str:
    """Return the help text that lists the folders of MEKIKI_IMPORT_FOLDERS."""
    return str(_("In one of these folders: %(folders)s")) % {"folders": ", ".join(settings.IMPORT_FOLDERS)}


def options_of(request: HttpRequest) -> ImportOptions:
    """Return the options of a request that starts an import. The service checks the values."""
    sent = request.POST
    return ImportOptions(
        label_use=sent.get("label_use") or ImportBatch.LabelUse.IGNORE,
        label_source=sent.get("label_source", ""),
        label_column=sent.get("label_column", ""),
        path_pattern=sent.get("path_pattern", ""),
        every_page="every_page" in sent,
        folder_labels="folder_labels" in sent,
        read_exif="read_exif" in sent,
        keep_place="keep_place" in sent,
    )


def add_errors(form: forms.Form, error: ValidationError) -> None:
    """Add the errors of a service to a form, at their fields where the form has them."""
    if not hasattr(error, "error_dict"):
        form.add_error(None, error)
        return
    for name, errors in error.error_dict.items():
        form.add_error(name if name in form.fields else None, errors)
