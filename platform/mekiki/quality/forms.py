"""The form for a new study."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from mekiki.datasets.models import Dataset
from mekiki.quality.models import Study
from mekiki.quality.models.studies import MAX_PAUSE_HOURS, MAX_RUNS, MIN_RUNS
from mekiki.quality.selectors import possible_reviewers
from mekiki.quality.services.studies import MAX_IMAGES, MIN_IMAGES


class StudyForm(forms.Form):
    """The design of a study. The bounds are those of quality.services.create_study."""

    name = forms.CharField(label=_("Name of the study"), max_length=100)
    reviewer_ids = forms.TypedMultipleChoiceField(
        label=_("Reviewers"),
        coerce=int,
        widget=forms.CheckboxSelectMultiple,
        help_text=_(
            "Two or three reviewers are usual. Choose the people who judge such images in daily work."
        ),
    )
    images = forms.IntegerField(
        label=_("Number of images"),
        initial=30,
        min_value=MIN_IMAGES,
        max_value=MAX_IMAGES,
        help_text=_(
            "20 to 50. The more images, the narrower the intervals. Every reviewer judges every image in "
            "each run."
        ),
    )
    runs = forms.TypedChoiceField(
        label=_("Runs"),
        coerce=int,
        choices=[(n, str(n)) for n in range(MIN_RUNS, MAX_RUNS + 1)],
        help_text=_("How often each reviewer judges each image, in another random order each time."),
    )
    pause_hours = forms.IntegerField(
        label=_("Pause between two runs, in hours"),
        initial=0,
        min_value=0,
        max_value=MAX_PAUSE_HOURS,
        help_text=_("A pause makes it less likely that a reviewer remembers an earlier answer. 0: no pause."),
    )
    method = forms.ChoiceField(
        label=_("Choice of the images"),
        choices=Study.Method.choices,
        help_text=_("A random choice has few images of rare labels."),
    )
    boundary_percent = forms.IntegerField(
        label=_("Share of hard images, in per cent"),
        initial=30,
        min_value=0,
        max_value=100,
        help_text=_(
            "Used only with equal numbers for each label. An image is hard if the head in use gives two "
            "labels a similar probability. Without a head in use, no image is hard."
        ),
    )
    reference = forms.ChoiceField(
        label=_("Reference labels"),
        choices=Study.Reference.choices,
        help_text=_("With reference labels, the report also shows how many answers are right."),
    )
    reference_person_id = forms.TypedChoiceField(
        label=_("Reference person"),
        coerce=int,
        required=False,
        empty_value=None,
        help_text=_(
            "Needed only if a reference person gives the reference labels. The reference person judges "
            "every image once."
        ),
    )

    def __init__(self, *args: Any, dataset: Dataset, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people = list(possible_reviewers(dataset).items())
        self.fields["reviewer_ids"].choices = people  # type: ignore[attr-defined]
        self.fields["reference_person_id"].choices = [("", "–"), *people]  # type: ignore[attr-defined]
