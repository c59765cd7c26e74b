"""View of the page on which an admin sets the overlap of streams and labels."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import MOST_REVIEWERS, Dataset
from mekiki.labeling.selectors import active_labels
from mekiki.review import disputes, services
from mekiki.review.models import OVERLAP_STREAMS, StreamOverlap
from mekiki.review.overlap import least_overlap
from mekiki.review.streams import stream_words


class OverlapForm(forms.Form):
    """One number for each stream, which may be empty, and one for each label."""

    def __init__(self, dataset: Dataset, data: Any = None) -> None:
        super().__init__(data)
        present = dict(StreamOverlap.objects.filter(dataset=dataset).values_list("stream", "overlap"))
        for stream in OVERLAP_STREAMS:
            self.fields[f"stream-{stream}"] = forms.IntegerField(
                label=stream_words(stream),
                required=False,
                min_value=1,
                max_value=MOST_REVIEWERS,
                initial=present.get(stream),
                widget=forms.NumberInput(attrs={"placeholder": dataset.overlap}),
            )
        self.labels = list(active_labels(dataset))
        for label in self.labels:
            by_setting = least_overlap(dataset, label) if label.critical else 1
            self.fields[f"label-{label.pk}"] = forms.IntegerField(
                label=_("%(label)s (critical)") % {"label": label.name} if label.critical else label.name,
                min_value=1,
                max_value=MOST_REVIEWERS,
                initial=label.min_overlap,
                help_text=_("The setting for critical labels applies: %(n)d.") % {"n": by_setting}
                if by_setting > label.min_overlap
                else "",
            )

    @property
    def stream_fields(self) -> list[forms.BoundField]:
        """Return the fields of the streams."""
        return [self[f"stream-{stream}"] for stream in OVERLAP_STREAMS]

    @property
    def label_fields(self) -> list[forms.BoundField]:
        """Return the fields of the labels."""
        return [self[f"label-{label.pk}"] for label in self.labels]

    def changes(self) -> dict[str, Any]:
        """Return the values as review.services.set_overlaps takes them."""
        values = self.cleaned_data
        return {
            "streams": {str(stream): values[f"stream-{stream}"] for stream in OVERLAP_STREAMS},
            "labels": {label.pk: values[f"label-{label.pk}"] for label in self.labels},
        }


@require_http_methods(["GET", "HEAD", "POST"])
def overlap(request: HttpRequest, slug: str) -> HttpResponse:
    """Show and change how many reviewers decide an image, by stream and by label."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    form = OverlapForm(dataset, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            services.set_overlaps(dataset=dataset, user=user_of(request), **form.changes())
        except ValidationError as error:
            form.add_error(None, error)
        else:
            messages.success(request, _("The overlap is saved. It applies from now on."))
            return redirect("review-overlap", slug)
    return render(
        request,
        "review/overlap.html",
        {
            "dataset": dataset,
            "section": "settings",
            "form": form,
            "disputed": disputes.disputed_items(dataset).count(),
        },
        status=422 if form.errors else 200,
    )
