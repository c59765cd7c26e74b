"""Views of the list of gold images, and the acts on it. For admins: reviewers must not know the images."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from mekiki.accounts.http import parse_number, user_of
from mekiki.accounts.models import Role
from mekiki.config.keyset import page_by
from mekiki.datasets.access import dataset_for, image_for
from mekiki.review import services
from mekiki.review.blinding import set_shown_attributes
from mekiki.review.errors import NotFoundForReviewerError, ReviewError
from mekiki.review.models import ConfirmedLabel, GoldImage
from mekiki.review.reviewer_measures import GoldCounts, gold_counts

PAGE_SIZE = 48


@never_cache
@require_GET
def gold_images(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the gold images with how often reviewers were asked about them and were right."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    ended = request.GET.get("show") == "ended"
    rows = GoldImage.objects.filter(dataset=dataset, ended_at__isnull=not ended)
    page, after = page_by(
        rows.select_related("image", "label", "created_by"),
        "pk",
        PAGE_SIZE,
        after=parse_number(request.GET.get("after", "")),
        descending=True,
    )
    set_shown_attributes(dataset, [row.image for row in page])
    counts = gold_counts(dataset, [row.pk for row in page])
    current = dict(
        ConfirmedLabel.objects.filter(image__in=[row.image_id for row in page]).values_list(
            "image_id", "label_id"
        )
    )
    shown = "show=ended&" if ended else ""
    return render(
        request,
        "review/gold.html",
        {
            "dataset": dataset,
            "section": "review",
            "rows": [
                (row, counts.get(row.pk, GoldCounts()), current.get(row.image_id) != row.label_id)
                for row in page
            ],
            "ended": ended,
            "count": rows.count(),
            "older_url": f"?{shown}after={after}" if after else "",
            "newer_url": f"?{shown}" if request.GET.get("after") else "",
        },
    )


@require_POST
def mark_known(request: HttpRequest, slug: str) -> HttpResponse:
    """Make all images with an adjudicated or unanimous label gold images."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    n = services.mark_known_as_gold(dataset=dataset, user=user_of(request))
    if n:
        text = ngettext("%(n)d image is a gold image now.", "%(n)d images are gold images now.", n) % {"n": n}
        messages.success(request, text)
    else:
        messages.info(
            request, _("No further image has a label that was adjudicated or that several reviewers gave.")
        )
    return redirect("gold-images", slug)


@require_POST
def end(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """End a gold image, from the list or from the page of the image."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    try:
        gold = services.end_gold(dataset=dataset, user=user_of(request), gold_id=min(pk, 2**63 - 1))
    except NotFoundForReviewerError as error:
        raise Http404 from error
    except ReviewError as error:
        messages.error(request, error.message)
        return redirect("gold-images", slug)
    messages.success(request, _("Reviewers do not get this gold image any more. Earlier answers are kept."))
    if request.POST.get("from") == "image":
        return redirect("image", slug, gold.image.sha256)
    return redirect("gold-images", slug)


@require_POST
def mark(request: HttpRequest, slug: str, sha256: str) -> HttpResponse:
    """Make one image a gold image, from the page of the image."""
    image = image_for(user_of(request), slug, sha256, Role.ADMIN)
    try:
        services.mark_gold(
            dataset=image.dataset,
            user=user_of(request),
            image_id=image.pk,
            expert=request.POST.get("expert") == "1",
        )
    except NotFoundForReviewerError as error:
        raise Http404 from error
    except ReviewError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("The image is a gold image now. Reviewers do not see this."))
    return redirect("image", slug, sha256)
