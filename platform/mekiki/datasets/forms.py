"""Forms for the settings of datasets and of the platform."""

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from mekiki.datasets.models import (
    LEAST_DISPLAY_MS,
    MAX_GRID_IMAGE_MS,
    MIN_GRID_IMAGE_MS,
    MOST_DISPLAY_MS,
    MOST_REVIEWERS,
    Acquisition,
    Dataset,
    PlatformQuota,
)
from mekiki.datasets.models.review_settings import (
    MAX_BOUND,
    MAX_QUESTIONS,
    MAX_TEST_DAYS,
    MAX_TEST_SHARE,
    MIN_BOUND,
    MIN_BOUND_ANSWERS,
)

GB = 1024**3

# Columns that the form shows in per cent.
_PERCENTAGES = {
    "audit_fraction": "audit_percent",
    "gold_share": "gold_percent",
    "repeat_share": "repeat_percent",
}
# The largest value of Dataset.retrain_every in a form.
MOST_ANSWERS_BEFORE_TRAINING = 1_000_000
# The largest value of Dataset.gold_bound_answers in a form.
MOST_ANSWERS_BEFORE_BOUND = 10_000


class SettingsForm(forms.Form):
    """The settings of a dataset that an admin may change later."""

    name = forms.CharField(label=_("Name"), max_length=120)
    description = forms.CharField(
        label=_("Description"), required=False, max_length=5000, widget=forms.Textarea(attrs={"rows": 3})
    )
    audit_percent = forms.FloatField(
        label=_("Audit share, in per cent"),
        min_value=0,
        max_value=90,
        help_text=_(
            "This share of the images, drawn at random, is used to measure accuracy. Accuracy is "
            "computed only from these images. If you raise the share after the first predictions, or "
            "after you lowered it, the new share applies only to images imported later."
        ),
    )
    queue_target = forms.IntegerField(
        label=_("Length of the queue"),
        min_value=5,
        max_value=5000,
        help_text=_("How many images wait for reviewers. When less than half is left, the next are chosen."),
    )
    acquisition = forms.ChoiceField(
        label=_("Acquisition function: which images are reviewed next"),
        choices=Acquisition.choices,
        help_text=_(
            "Recommended: “Where two labels compete”. Usually these images improve the head most. A "
            "change applies when the queue is filled the next time."
        ),
    )
    use_detail = forms.BooleanField(
        label=_("Use the local detail of images"),
        required=False,
        help_text=_(
            "Heads then see small defects and textures that are lost when the encoder scales an image down. "
            "It costs about 20 milliseconds of processor time for an image of 512 pixels, and 360 bytes. A "
            "training takes about twice the time. A change applies to the heads that are trained afterwards."
        ),
    )
    overlap = forms.IntegerField(
        label=_("Overlap: reviewers for each image"),
        min_value=1,
        max_value=MOST_REVIEWERS,
        help_text=_(
            "How many reviewers decide each image. The label needs more than half of them. A change "
            "applies to images that are queued from now on."
        ),
    )
    critical_overlap = forms.IntegerField(
        label=_("Least overlap of critical labels"),
        min_value=1,
        max_value=MOST_REVIEWERS,
        help_text=_(
            "The least number of reviewers who decide an image that is predicted or answered as a critical "
            "label. With 2, a second reviewer checks every answer with a critical label, so the image needs "
            "two answers. If the reviewers disagree, an adjudicator decides."
        ),
    )
    hide_names_from_adjudicators = forms.BooleanField(
        label=_("Hide the names of the reviewers from adjudicators"),
        required=False,
        help_text=_("An adjudicator compares the answers of reviewers who disagree, without their names."),
    )
    min_display_ms = forms.IntegerField(
        label=_("Shortest viewing time in milliseconds"),
        min_value=LEAST_DISPLAY_MS,
        max_value=MOST_DISPLAY_MS,
        help_text=_(
            "An answer is accepted after the image was on the screen for this time, so that a key that is "
            "pressed twice does not answer the next image. Usual: 200."
        ),
    )
    grid_image_ms = forms.IntegerField(
        label=_("Grid review: milliseconds for each image"),
        min_value=MIN_GRID_IMAGE_MS,
        max_value=MAX_GRID_IMAGE_MS,
        help_text=_(
            "A page of the grid review can be confirmed after this time for each of its images, so that "
            "reviewers look at the images first. With 100, a page of 24 images needs 2.4 seconds."
        ),
    )
    gold_percent = forms.FloatField(
        label=_("Gold images, in per cent"),
        min_value=0,
        max_value=MAX_TEST_SHARE * 100,
        help_text=_(
            "The share of gold images among the images that a reviewer judges. Reviewers do not see that an "
            "image is a gold image. Admins choose the gold images on the page of an image or on the list of "
            "gold images."
        ),
    )
    gold_days = forms.IntegerField(
        label=_("Days between two answers to a gold image"),
        min_value=1,
        max_value=MAX_TEST_DAYS,
        help_text=_("A reviewer gets the same gold image again only after this number of days."),
    )
    repeat_percent = forms.FloatField(
        label=_("Hidden repeats, in per cent"),
        min_value=0,
        max_value=MAX_TEST_SHARE * 100,
        help_text=_(
            "The share of hidden repeats among the images that a reviewer judges. A hidden repeat is an "
            "image that the same reviewer judged before. Reviewers do not see that an image is repeated. "
            "The answers change no label."
        ),
    )
    repeat_days = forms.IntegerField(
        label=_("Days before a hidden repeat"),
        min_value=0,
        max_value=MAX_TEST_DAYS,
        help_text=_("An image is repeated after this many days, and after 50 other answers."),
    )
    gold_bound_percent = forms.FloatField(
        label=_("Requalification: least accuracy on gold images, in per cent"),
        required=False,
        min_value=MIN_BOUND * 100,
        max_value=MAX_BOUND * 100,
        help_text=_(
            "If the whole 95 per cent interval of a reviewer’s accuracy on gold images is below this value, "
            "the reviewer must read the guidelines and answer a short test before the next image. Empty: no "
            "test."
        ),
    )
    gold_bound_answers = forms.IntegerField(
        label=_("Requalification: answers on gold images before the bound applies"),
        min_value=MIN_BOUND_ANSWERS,
        max_value=MOST_ANSWERS_BEFORE_BOUND,
    )
    requalification_questions = forms.IntegerField(
        label=_("Requalification: images of the test"), min_value=1, max_value=MAX_QUESTIONS
    )
    retrain_every = forms.IntegerField(
        label=_("Retrain after this many answers"),
        min_value=0,
        max_value=MOST_ANSWERS_BEFORE_TRAINING,
        help_text=_("0: only manually or on schedule."),
    )

    @staticmethod
    def values_of(dataset: Dataset) -> dict[str, Any]:
        """Return the initial values of the form."""
        return {
            "name": dataset.name,
            "description": dataset.description,
            "audit_percent": round(dataset.audit_fraction * 100, 4),
            "queue_target": dataset.queue_target,
            "acquisition": dataset.acquisition,
            "use_detail": dataset.use_detail,
            "overlap": dataset.overlap,
            "critical_overlap": dataset.critical_overlap,
            "hide_names_from_adjudicators": dataset.hide_names_from_adjudicators,
            "min_display_ms": dataset.min_display_ms,
            "grid_image_ms": dataset.grid_image_ms,
            "gold_percent": round(dataset.gold_share * 100, 4),
            "gold_days": dataset.gold_days,
            "repeat_percent": round(dataset.repeat_share * 100, 4),
            "repeat_days": dataset.repeat_days,
            "gold_bound_percent": None if dataset.gold_bound is None else round(dataset.gold_bound * 100, 4),
            "gold_bound_answers": dataset.gold_bound_answers,
            "requalification_questions": dataset.requalification_questions,
            "retrain_every": dataset.retrain_every,
        }

    def changes(self) -> dict[str, Any]:
        """Return the values as datasets.services.update_settings takes them."""
        values = dict(self.cleaned_data)
        for column, field in _PERCENTAGES.items():
            values[column] = round(values.pop(field) / 100, 6)
        bound = values.pop("gold_bound_percent")
        values["gold_bound"] = None if bound is None else round(bound / 100, 6)
        return values


class WindowForm(forms.Form):
    """The pixel values that are shown as black and as white."""

    black = forms.FloatField(label=_("Black"))
    white = forms.FloatField(label=_("White"))


class LimitsForm(forms.Form):
    """Storage limits of a dataset or of the platform. An empty field means no limit."""

    max_images = forms.IntegerField(
        label=_("Most images"), required=False, min_value=1, max_value=10**12, help_text=_("Empty: no limit.")
    )
    max_gb = forms.DecimalField(
        label=_("Most storage, in GB"),
        required=False,
        min_value=Decimal("0.001"),
        max_value=1_000_000,
        max_digits=10,
        decimal_places=3,
        help_text=_(
            "The limit counts the files as they were imported, without thumbnails and display files."
        ),
    )

    @staticmethod
    def values_of(limits: Dataset | PlatformQuota | None) -> dict[str, Any]:
        """Return the initial values of the form."""
        if limits is None:
            return {}
        size = (
            None if limits.max_bytes is None else (Decimal(limits.max_bytes) / GB).quantize(Decimal("0.001"))
        )
        return {"max_images": limits.max_images, "max_gb": size}

    def changes(self) -> dict[str, Any]:
        """Return the values as datasets.services.set_dataset_limits takes them."""
        size = self.cleaned_data["max_gb"]
        return {
            "max_images": self.cleaned_data["max_images"],
            "max_bytes": None if size is None else int(size * GB),
        }


class AddressForm(forms.Form):
    """A new address for a dataset."""

    slug = forms.CharField(
        label=_("Address"),
        max_length=60,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
        help_text=_("Links begin with /d/ADDRESS/. Old links keep leading here; no other dataset gets them."),
    )
