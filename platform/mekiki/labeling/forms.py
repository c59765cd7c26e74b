"""The labels of a dataset with their prompts, as one form: a row a label."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from mekiki.labeling.models import Label
from mekiki.labeling.services import LabelSpec
from mekiki.labeling.text import (
    MAX_LABELS,
    MAX_NAME,
    checked_guideline,
    checked_name,
    checked_prompts,
    refuse_duplicates,
)


class LabelForm(forms.Form):
    """One label. A row in which nothing is written is no label."""

    id = forms.IntegerField(required=False, widget=forms.HiddenInput)
    position = forms.IntegerField(
        label=_("Key"),
        required=False,
        min_value=0,
        max_value=10_000,
    )
    # Longer than what is allowed, so that the message can say how long it was.
    name = forms.CharField(label=_("Name"), required=False, max_length=100 * MAX_NAME)
    prompts = forms.CharField(
        label=_("Prompts"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    critical = forms.BooleanField(label=_("Critical"), required=False)
    guideline = forms.CharField(
        label=_("Guideline"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    remove = forms.BooleanField(label=_("Remove this label"), required=False)

    def clean(self) -> dict[str, Any]:
        """Check name, prompts and guideline, each with its message beside it."""
        values = super().clean() or self.cleaned_data
        if self.is_blank() or values.get("remove"):
            return values
        name = values.get("name", "")
        try:
            name = values["name"] = checked_name(name)
        except ValidationError as error:
            self.add_error("name", error)
            return values
        try:
            values["lines"] = checked_prompts(values.get("prompts", "").splitlines(), name)
        except ValidationError as error:
            self.add_error("prompts", error)
        try:
            values["guideline"] = checked_guideline(values.get("guideline", ""), name)
        except ValidationError as error:
            self.add_error("guideline", error)
        return values

    def is_blank(self) -> bool:
        """Was nothing written here?"""
        written = (self.cleaned_data.get(field, "") for field in ("name", "prompts", "guideline"))
        return not any(str(text or "").strip() for text in written) and not self.cleaned_data.get("id")

    def spec(self) -> LabelSpec:
        """As labeling.services.set_schema takes it."""
        values = self.cleaned_data
        return {
            "id": values.get("id"),
            "name": values["name"],
            "prompts": values["lines"],
            "critical": values["critical"],
            "guideline": values["guideline"],
            "position": values.get("position") or None,
        }


class BaseLabels(forms.BaseFormSet):
    """The rows, in the order of their keys."""

    def kept(self) -> list[LabelForm]:
        """The rows that are labels, in the order they are to have."""
        rows = [
            (form.cleaned_data.get("position") or 10_001, number, form)
            for number, form in enumerate(self.forms)
            if not form.is_blank() and not form.cleaned_data.get("remove")
        ]
        return [form for _position, _number, form in sorted(rows, key=lambda row: row[:2])]

    def clean(self) -> None:
        """Two labels of one name are told before anything is stored."""
        if not any(self.errors):
            refuse_duplicates([form.cleaned_data["name"] for form in self.kept()])

    def specs(self) -> list[LabelSpec]:
        """All labels as set_schema takes them."""
        return [form.spec() for form in self.kept()]


LabelFormSet = forms.formset_factory(
    LabelForm, formset=BaseLabels, extra=0, max_num=MAX_LABELS + 50, absolute_max=MAX_LABELS + 60
)


def initial_rows(labels: list[Label], prompts: dict[int, list[str]], last: int = 0) -> list[dict[str, Any]]:
    """The form's rows for the labels as they are; three empty ones where there are none.

    last: the highest key a label has or had. Empty rows have the keys after it.
    """
    rows: list[dict[str, Any]] = [
        {
            "id": label.pk,
            "position": label.position,
            "name": label.name,
            "prompts": "\n".join(prompts.get(label.pk, [])),
            "critical": label.critical,
            "guideline": label.guideline,
        }
        for label in labels
    ]
    blanks = 1 if rows else 3
    return rows + [{"position": last + 1 + number} for number in range(blanks)]
