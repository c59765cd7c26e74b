"""A selection of the gallery becomes gold images, or stops to be gold images."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST

from mekiki.accounts.http import parse_number, user_of
from mekiki.accounts.models import Role
from mekiki.datasets.access import dataset_for
from mekiki.review import services
from mekiki.review.blinding import set_shown_attributes
from mekiki.review.errors import NotFoundForReviewerError, ReviewError


@require_POST
def mark_selection(request: HttpRequest, slug: str) -> HttpResponse:
    """Mark or end the selected images, and list those that were not taken with the reason."""
    dataset, user = dataset_for(user_of(request), slug, Role.ADMIN), user_of(request)
    numbers = (parse_number(text) for text in request.POST.getlist("image"))
    ids = [number for number in numbers if number is not None]
    ends = request.POST.get("act") == "end"
    context = {
        "dataset": dataset,
        "section": "images",
        "ends": ends,
        # Only a query: the address is that of the gallery.
        "back": f"{reverse('images', args=[slug])}?{request.POST.get('query', '')}",
    }
    try:
        if ends:
            result = services.end_gold_of_selection(dataset=dataset, user=user, image_ids=ids)
        else:
            result = services.mark_selection_as_gold(
                dataset=dataset, user=user, image_ids=ids, expert=request.POST.get("expert") == "1"
            )
    except NotFoundForReviewerError as error:
        raise Http404 from error
    except ReviewError as error:
        return render(
            request, "web/gold_selection.html", context | {"problem": error.message}, status=error.status
        )
    set_shown_attributes(dataset, [image for image, _reason in result.refused])
    return render(request, "web/gold_selection.html", context | {"result": result})
