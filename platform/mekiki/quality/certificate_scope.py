"""The scope of a certificate: the whole dataset, one import, or a filter as the gallery offers it.

The filter is a part of the protocol (verification.certificates.Protocol.scope): a predicted label by its id,
and a metadata value as key=value.
"""

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mekiki.datasets.models import Dataset
from mekiki.labeling.models import Label
from mekiki.labeling.selectors import active_labels
from mekiki.quality.models import Certificate, CertificatePlan
from verification.certificates.protocol import split_metadata


def scope_problem(dataset: Dataset, scope: dict[str, str]) -> str:
    """Return why a filter cannot be the scope of a certificate, or an empty text."""
    label = scope.get("label")
    if label is not None:
        chosen = active_labels(dataset).filter(pk=int(label)).first() if label.isdecimal() else None
        if chosen is None:
            return _("This dataset has no such label.")
        if chosen.critical:
            return _("A critical label is never set by machine.")
    return ""


def scope_text(row: Certificate | CertificatePlan) -> str:
    """Return which images the pool of a certificate or plan is taken from."""
    parts = []
    batch = row.batch
    if batch is not None:
        parts.append(
            _("import %(number)d, %(day)s") % {"number": batch.pk, "day": f"{batch.created_at:%Y-%m-%d}"}
        )
    if "label" in row.scope:
        label = Label.objects.filter(pk=int(row.scope["label"])).first()
        name = label.name if label is not None else row.scope["label"]
        parts.append(_("predicted label “%(name)s”") % {"name": name})
    if "metadata" in row.scope:
        key, value = split_metadata(row.scope["metadata"])
        parts.append(_("metadata %(key)s = %(value)s") % {"key": key, "value": value})
    return ", ".join(parts) or _("all images of the dataset")


class ScopeFields(forms.Form):
    """The fields of a form that limit a certificate to a part of the images."""

    scope_label = forms.ChoiceField(
        label=gettext_lazy("Only images with this predicted label"),
        required=False,
        help_text=gettext_lazy("The prediction is that of the freeze. Without a choice: all labels."),
    )
    scope_metadata = forms.CharField(
        label=gettext_lazy("Only images with this metadata"),
        required=False,
        max_length=410,
        widget=forms.TextInput(attrs={"placeholder": "line=3"}),
    )

    def set_scope_choices(self, dataset: Dataset) -> None:
        """Offer the labels of a dataset that the machine may set."""
        field = self.fields["scope_label"]
        assert isinstance(field, forms.ChoiceField)
        labels = active_labels(dataset).filter(critical=False)
        field.choices = [("", _("any")), *((str(label.pk), label.name) for label in labels)]

    def clean_scope_metadata(self) -> str:
        """Return the filter as key=value. Raises ValidationError if a part of it is missing."""
        text: str = self.cleaned_data["scope_metadata"].strip()
        if text:
            try:
                split_metadata(text)
            except ValueError as error:
                raise forms.ValidationError(_("Write it as key=value, for example line=3.")) from error
        return text

    @staticmethod
    def scope_of(values: dict[str, Any]) -> dict[str, str]:
        """Return the scope that the cleaned values describe; empty for all images."""
        named = {"label": values.get("scope_label"), "metadata": values.get("scope_metadata")}
        return {name: value for name, value in named.items() if value}
