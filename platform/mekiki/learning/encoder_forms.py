"""Forms to choose an encoder: from the recommended list, from the model folders, or by name."""

from typing import Any

from django import forms
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mekiki.datasets.models import Dataset
from mekiki.labeling.models import Prompt
from mekiki.labeling.selectors import current_prompt_set
from mekiki.labeling.starters import starters
from mekiki.learning.encoder_catalogue import CATALOGUE, CPU, GPU, Recommendation, recommended
from mekiki.learning.encoder_names import checked_encoder, folder_names
from mekiki.learning.selectors import worker_reports

# Kana and the common ideographs. Prompts that contain one of them are treated as Japanese.
_JAPANESE = r"[\u3040-\u30ff\u4e00-\u9fff]"
OTHER = "other"


def reported_device() -> str:
    """Return `gpu` if a worker has reported a GPU, otherwise `cpu`."""
    return GPU if any(report.device != "cpu" for report in worker_reports()) else CPU


def prompt_language(dataset: Dataset | None, site: str) -> str:
    """Return `ja` if the dataset has Japanese prompts, otherwise `en`.

    Without prompts, return the language of the site's user (`site`).
    """
    prompt_set = current_prompt_set(dataset) if dataset is not None else None
    if prompt_set is None:
        return site.split("-")[0]
    prompts = Prompt.objects.filter(prompt_set=prompt_set)
    return "ja" if prompts.filter(text__regex=_JAPANESE).exists() else "en"


def size_in_words(item: Recommendation) -> str:
    """Return the download size as text."""
    if not item.download_mb:
        return _("comes with Mekiki")
    return _("download of about %(size)s") % {"size": filesizeformat(item.download_mb * 1_000_000)}


def encoder_title(name: str) -> str:
    """Return the text of an encoder in a list of choices."""
    if name.startswith("local-dir:"):
        return _("folder %(path)s") % {"path": name.removeprefix("local-dir:")}
    known = next((item for item in CATALOGUE if item.name == name), None)
    return f"{name} ({known.licence}, {size_in_words(known)})" if known else name


def template_choices(language: str) -> list[tuple[str, str]]:
    """Return the keys of the templates for datasets, with title and labels in a language."""
    return [
        (
            one.key,
            f"{one.title.text(language)} ({', '.join(label.name.text(language) for label in one.labels)})",
        )
        for one in starters()
    ]


class EncoderNameField(forms.CharField):
    """Form field for the name of an encoder that is allowed on this machine."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("max_length", 200)
        options.setdefault("label", gettext_lazy("Name of an encoder"))
        options.setdefault(
            "help_text",
            gettext_lazy(
                "ARCHITECTURE/WEIGHTS as open_clip lists them, hf-hub:OWNER/MODEL, or "
                "local-dir:/path/to/folder; +onnx or +int8 behind the name for a quicker variant on a CPU."
            ),
        )
        options.setdefault("widget", forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}))
        super().__init__(**options)

    def clean(self, value: Any) -> str:
        """Return the checked name, or "" for an empty optional field."""
        text = super().clean(value)
        return checked_encoder(text).name if text else ""


class EncoderForm(forms.Form):
    """Form that selects another encoder for a dataset."""

    name = EncoderNameField()


class NewDatasetForm(forms.Form):
    """Form for a new dataset. Labels and images are added on other pages."""

    needed_by_choice = frozenset({"other_encoder"})

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=120,
        help_text=gettext_lazy("The name that users see, for example “Line 3, brackets”."),
    )
    slug = forms.CharField(
        label=gettext_lazy("Address"),
        required=False,
        max_length=60,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
        help_text=gettext_lazy(
            "Links to the dataset begin with /d/ADDRESS/. Left empty, it is made from the name."
        ),
    )
    description = forms.CharField(
        label=gettext_lazy("Description"),
        required=False,
        max_length=5000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy("What is judged, and what the judgement is for."),
    )
    template = forms.ChoiceField(
        label=gettext_lazy("Begin with"),
        required=False,
        widget=forms.RadioSelect,
        help_text=gettext_lazy(
            "A template brings labels, prompts and guidelines in English and Japanese. You can change all of "
            "them."
        ),
    )
    copy_from = forms.ChoiceField(
        label=gettext_lazy("Copy labels and prompts from"),
        required=False,
        help_text=gettext_lazy("Guidelines are copied too. You can change everything afterwards."),
    )
    encoder_name = forms.ChoiceField(
        label=gettext_lazy("Encoder"),
        help_text=gettext_lazy(
            "The model that reads images and prompts. “pocket” works at once. You can prepare "
            "another encoder later and compare it before you switch over."
        ),
    )
    other_encoder = EncoderNameField(label=gettext_lazy("Another encoder, by its name"), required=False)

    def __init__(self, *args: Any, language: str, sources: list[Dataset], **kwargs: Any) -> None:
        """`sources`: the datasets whose labels can be copied."""
        super().__init__(*args, **kwargs)
        source = self.fields["copy_from"]
        assert isinstance(source, forms.ChoiceField)
        source.choices = [("", _("no dataset")), *((one.slug, one.name) for one in sources)]
        if not sources:
            self.fields.pop("copy_from")
        names = [item.name for item in recommended(reported_device(), language)]
        names = ["pocket", *(name for name in names if name != "pocket"), *folder_names()]
        template = self.fields["template"]
        assert isinstance(template, forms.ChoiceField)
        template.choices = [("", _("Nothing: I write the labels")), *template_choices(language)]
        field = self.fields["encoder_name"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [
            *((name, encoder_title(name)) for name in names),
            (OTHER, _("another, by the name below")),
        ]

    def clean(self) -> dict[str, Any]:
        """Return the values with the encoder's name in `encoder_name`, from either field."""
        values = super().clean() or {}
        other, chosen = values.pop("other_encoder", ""), values.get("encoder_name")
        if chosen == OTHER and "other_encoder" not in self.errors:
            if not other:
                self.add_error("other_encoder", _("Type the name of the encoder."))
            values["encoder_name"] = other
        elif chosen and chosen != OTHER:
            try:
                checked_encoder(chosen)
            except forms.ValidationError as error:
                self.add_error("encoder_name", error)
        return values
