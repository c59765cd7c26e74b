"""The form for a new label set."""

from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from mekiki.datasets.models import Dataset
from mekiki.learning.figures import count
from mekiki.learning.models import Head
from mekiki.quality.models import Certificate
from mekiki.review.models import SavedView

PEOPLE, CERTIFIED, UNCERTIFIED = "people", "certified", "uncertified"


class FreezeForm(forms.Form):
    """The contents of the next label set.

    Without a certificate in use it offers no certified labels, and without a calibrated head no predictions.
    """

    field_order = ("labels", "machine_threshold", "view", "note", "include_images")
    view = forms.ModelChoiceField(
        label=_("Only the images of a saved view"),
        queryset=SavedView.objects.none(),
        required=False,
        empty_label=_("all images"),
        help_text=_(
            "The images that match the filters of the view when the job begins. The label set names the view "
            "and its filters."
        ),
    )
    # Images that were chosen in the gallery, as a query string.
    query = forms.CharField(required=False, max_length=21_000, widget=forms.HiddenInput)
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
    labels = forms.ChoiceField(label=_("Labels"), initial=PEOPLE, widget=forms.RadioSelect)
    machine_threshold = forms.FloatField(
        label=_("Lowest confidence of uncertified predictions"),
        required=False,
        min_value=0.5,
        max_value=1,
        widget=forms.NumberInput(attrs={"step": "0.01", "placeholder": "0.99"}),
    )

    def __init__(
        self,
        *args: Any,
        dataset: Dataset,
        head: Head | None,
        certificate: Certificate | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        views = SavedView.objects.filter(dataset=dataset)
        if views.exists():
            cast(forms.ModelChoiceField, self.fields["view"]).queryset = views
        else:
            self.fields.pop("view")
        choices: list[tuple[str, Any]] = [(PEOPLE, _("Labels of people only"))]
        if certificate is not None:
            text = _("Labels of people, and the %(shown)s labels that certificate %(number)s set by machine")
            choices.append(
                (CERTIFIED, text % {"shown": count(certificate.accepted), "number": certificate.version})
            )
        if head is not None:
            text = _("Labels of people, and uncertified predictions of the head above a confidence")
            choices.append((UNCERTIFIED, text))
        cast(forms.ChoiceField, self.fields["labels"]).choices = choices
        threshold = self.fields["machine_threshold"]
        if head is None:
            threshold.disabled = True
            threshold.help_text = _(
                "Not possible now: the head in use is not calibrated, so its confidence is not "
                "reliable. Retrain on confirmed labels first."
            )
        else:
            threshold.help_text = _(
                "Only for uncertified predictions: images without a decision get the prediction of the "
                "head in use if its confidence is at least this number, from 0.5 to 1. Critical labels are "
                "never set by machine. No certificate covers these labels: the label set says so on its "
                "first page, and the number of wrong labels is unknown."
            )

    def clean(self) -> dict[str, Any]:
        """Return the arguments of services.freeze. The threshold belongs to uncertified predictions only."""
        values = super().clean() or {}
        chosen = values.pop("labels", PEOPLE)
        threshold = values.get("machine_threshold")
        if chosen == UNCERTIFIED and threshold is None and "machine_threshold" not in self.errors:
            self.add_error("machine_threshold", _("Enter the lowest confidence, from 0.5 to 1."))
        if chosen != UNCERTIFIED and threshold is not None:
            self.add_error(
                "machine_threshold",
                _("Leave the confidence empty, or choose uncertified predictions above."),
            )
        return {**values, "certified": chosen == CERTIFIED}
