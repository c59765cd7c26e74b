"""The form of a dataset's labels and their prompts, with one row per label."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from mekiki.labeling.models import Label
from mekiki.labeling.services import LabelSpec
from mekiki.labeling.text import (
    MAX_CODE,
    MAX_LABELS,
    MAX_NAME,
    checked_code,
    checked_guideline,
    checked_name,
    checked_prompts,
    name_key,
    refuse_ambiguous_codes,
    refuse_duplicates,
    refuse_two_none_of_these,
)


class LabelForm(forms.Form):
    """The form of one label. A row without text is no label."""

    id = forms.IntegerField(required=False, widget=forms.HiddenInput)
    position = forms.IntegerField(
        label=_("Key"),
        required=False,
        min_value=0,
        max_value=10_000,
    )
    # This limit is above MAX_NAME, so that the error message of checked_name can state the length.
    name = forms.CharField(label=_("Name"), required=False, max_length=100 * MAX_NAME)
    prompts = forms.CharField(
        label=_("Prompts"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    code = forms.CharField(label=_("Short code"), required=False, max_length=100 * MAX_CODE)
    critical = forms.BooleanField(label=_("Critical"), required=False)
    is_none = forms.BooleanField(label=_("“None of these”"), required=False)
    guideline = forms.CharField(
        label=_("Guideline"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    guideline_en = forms.CharField(
        label=_("Guideline for readers of English"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "lang": "en"}),
    )
    guideline_ja = forms.CharField(
        label=_("Guideline for readers of Japanese"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "lang": "ja"}),
    )
    remove = forms.BooleanField(label=_("Archive this label"), required=False)

    def clean(self) -> dict[str, Any]:
        """Check name, prompts and guideline, and attach each error to its field."""
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
            values["code"] = checked_code(values.get("code", ""), name)
        except ValidationError as error:
            self.add_error("code", error)
        for field in ("guideline", "guideline_en", "guideline_ja"):
            try:
                values[field] = checked_guideline(values.get(field, ""), name)
            except ValidationError as error:
                self.add_error(field, error)
        return values

    def is_blank(self) -> bool:
        """Return whether the row holds no text and belongs to no existing label."""
        written = (self.cleaned_data.get(field, "") for field in ("name", "prompts", "guideline"))
        return not any(str(text or "").strip() for text in written) and not self.cleaned_data.get("id")

    def spec(self) -> LabelSpec:
        """Return the label in the form that labeling.services.set_schema takes."""
        values = self.cleaned_data
        return {
            "id": values.get("id"),
            "name": values["name"],
            "prompts": values["lines"],
            "critical": values["critical"],
            "guideline": values["guideline"],
            "guideline_texts": {
                language: values[f"guideline_{language}"]
                for language in ("en", "ja")
                if values[f"guideline_{language}"]
            },
            "is_none": values["is_none"],
            "code": values["code"],
            "position": values.get("position") or None,
        }


class BaseLabels(forms.BaseFormSet):
    """The rows of the form, in the order of their keys."""

    def kept(self) -> list[LabelForm]:
        """Return the rows that are labels, in the order of their keys."""
        rows = [
            (form.cleaned_data.get("position") or 10_001, number, form)
            for number, form in enumerate(self.forms)
            if not form.is_blank() and not form.cleaned_data.get("remove")
        ]
        return [form for _position, _number, form in sorted(rows, key=lambda row: row[:2])]

    def clean(self) -> None:
        """Refuse two labels with one name, or two “none of these”, before anything is stored."""
        if not any(self.errors):
            kept = [form.cleaned_data for form in self.kept()]
            refuse_duplicates([values["name"] for values in kept])
            refuse_ambiguous_codes([(values["name"], values["code"]) for values in kept])
            refuse_two_none_of_these([values["name"] for values in kept if values["is_none"]])

    def specs(self) -> list[LabelSpec]:
        """Return all labels in the form that set_schema takes."""
        return [form.spec() for form in self.kept()]


LabelFormSet = forms.formset_factory(
    LabelForm, formset=BaseLabels, extra=0, max_num=MAX_LABELS + 50, absolute_max=MAX_LABELS + 60
)


def initial_rows(labels: list[Label], prompts: dict[int, list[str]], last: int = 0) -> list[dict[str, Any]]:
    """Return the initial rows of the form for the present labels, followed by empty rows.

    Without labels there are three empty rows, else one. `last` is the highest key that a label has or had.
    The empty rows have the keys after it.
    """
    rows: list[dict[str, Any]] = [
        {
            "id": label.pk,
            "position": label.position,
            "name": label.name,
            "prompts": "\n".join(prompts.get(label.pk, [])),
            "critical": label.critical,
            "guideline": label.guideline,
            "guideline_en": label.guideline_texts.get("en", ""),
            "guideline_ja": label.guideline_texts.get("ja", ""),
            "is_none": label.is_none,
            "code": label.code,
        }
        for label in labels
    ]
    blanks = 1 if rows else 3
    return rows + [{"position": last + 1 + number} for number in range(blanks)]


def rows_of_file(entries: list[dict[str, Any]], labels: list[Label], last: int) -> list[dict[str, Any]]:
    """Return the initial rows of the form for the labels of a file (labeling.yaml_file).

    A label of the dataset with the same name is changed; the others are marked to be archived. A new label
    without a key gets one after the last.
    """
    by_name = {name_key(label.name): label for label in labels}
    rows: list[dict[str, Any]] = []
    for entry in entries:
        label = by_name.pop(name_key(entry["name"]), None)
        last = last + 1 if label is None and not entry["key"] else last
        rows.append(
            {
                "id": label.pk if label is not None else None,
                "position": entry["key"] or (label.position if label is not None else last),
                "name": entry["name"],
                "prompts": "\n".join(entry["prompts"]),
                "critical": entry["critical"],
                "is_none": entry["none_of_these"],
                "code": entry["code"],
                "guideline": entry["guideline"],
                **{
                    f"guideline_{language}": entry["guidelines"].get(language, "")
                    for language in ("en", "ja")
                },
            }
        )
    kept = [
        {"id": label.pk, "position": label.position, "name": label.name, "remove": True}
        for label in by_name.values()
    ]
    return rows + kept
