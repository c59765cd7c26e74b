"""The page of the metadata fields of a dataset: their types, and texts that do not fit. For admins."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.datasets import services
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset, Image, MetadataField
from mekiki.datasets.typed_values import MOST_FIELDS
from mekiki.jobs.models import ACTIVE_STATES, Job, Kind
from mekiki.jobs.progress import job_status
from mekiki.review.finding import filter_images
from mekiki.review.metadata_filters import UNFIT

# Above this number the page shows "more than".
COUNT_UP_TO = 1000
EXAMPLES = 5


@require_http_methods(["GET", "HEAD", "POST"])
def metadata_fields(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the fields and their types. A POST changes types, or reads the fields of all images again."""
    user = user_of(request)
    dataset = dataset_for(user, slug, Role.ADMIN)
    fields = list(MetadataField.objects.filter(dataset=dataset).select_related("chosen_by"))
    if request.method == "POST":
        try:
            jobs = (
                [services.read_metadata_fields(dataset=dataset, user=user)]
                if "read" in request.POST
                else _change_types(request, fields)
            )
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        else:
            messages.success(
                request,
                _("The values are read in the background. This page shows the progress.")
                if any(jobs)
                else _("Saved. The gallery shows the fields by their types."),
            )
        return redirect("metadata-fields", slug)
    active = Job.objects.filter(dataset=dataset, kind=Kind.TYPE_METADATA, state__in=ACTIVE_STATES)
    context = {
        "dataset": dataset,
        "section": "settings",
        "rows": [_row(dataset, field) for field in fields],
        "types": MetadataField.Type.choices,
        "limit": MOST_FIELDS if len(fields) >= MOST_FIELDS else 0,
        "has_images": Image.objects.filter(dataset=dataset).exists(),
        "jobs": [job_status(job, dataset.role) for job in active],
    }
    return render(request, "web/metadata_fields.html", context)


def _change_types(request: HttpRequest, fields: list[MetadataField]) -> list[Job | None]:
    """Set the types that differ from those in use. Raises ValidationError for an unknown type."""
    return [
        services.set_metadata_type(field=field, user=user_of(request), type=wanted)
        for field in fields
        if (wanted := request.POST.get(f"type-{field.pk}", field.type)) != field.type
    ]


def _row(dataset: Dataset, field: MetadataField) -> dict[str, Any]:
    """Return a field with its texts that do not fit. Images that hide their metadata are not counted."""
    row: dict[str, Any] = {"field": field, "unfit": 0, "more": False, "examples": [], "url": ""}
    if field.is_ordered and field.is_complete:
        asked = {UNFIT + field.key: "1"}
        images = filter_images(dataset, None, asked)
        n = images.order_by()[: COUNT_UP_TO + 1].count()
        texts = [str(image.metadata[field.key]) for image in images.order_by("-pk")[:EXAMPLES]]
        row |= {
            "unfit": min(n, COUNT_UP_TO),
            "more": n > COUNT_UP_TO,
            "examples": list(dict.fromkeys(texts)),
            "url": f"{reverse('images', args=[dataset.slug])}?{urlencode(asked)}",
        }
    return row
