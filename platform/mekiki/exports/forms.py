"""The form for a new label set."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from mekiki.learning.models import Head


class FreezeForm(forms.Form):
    """The contents of the next label set. Without a calibrated head it offers no machine labels."""

    note = forms.CharField(
        label=_("Note"),
        max_length=300,
        required=False,
        help_text=_(
            "The purpose of this label set, for example “audit, first quarter”. It is written into "
            "the manifest."
        ),
    )
    include_images = forms.BooleanField(
        label=_("Include the images"),
        required=False,
        help_text=_("The zip is as large as the images together. Without them it holds their SHA-256 only."),
    )
    machine_threshold = forms.FloatField(
        label=_("Labels set by machine, from this confidence"),
        required=False,
        min_value=0.5,
        max_value=1,
        widget=forms.NumberInput(attrs={"step": "0.01", "placeholder": "0.99"}),
    )

    def __init__(self, *args: Any, head: Head | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        threshold = self.fields["machine_threshold"]
        if head is None:
            threshold.disabled = True
            threshold.help_text = _(
                "Not possible now: the head in use is not calibrated, so its confidence is not "
                "reliable. Retrain on confirmed labels first."
            )
        else:
            threshold.help_text = _(
                "Leave empty for people’s labels only. With a number from 0.5 to 1, images without a "
                "decision get the prediction of the head in use if its confidence is at least this "
                "number. These labels are marked as set by machine. Critical labels are never set by "
                "machine. No certificate covers these labels: their accuracy is not guaranteed."
            )
