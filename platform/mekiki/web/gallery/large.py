"""One image in large over the gallery, with the previous and the next image of the same filter and order."""

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from mekiki.accounts.http import user_of
from mekiki.datasets.access import image_for
from mekiki.labeling.selectors import active_labels
from mekiki.learning.selectors import champion
from mekiki.review.finding import filter_images
from mekiki.web.gallery.narrowed import GalleryQuery, neighbours
from mekiki.web.gallery.shown import attach_labels

# Above this number of images the position of an image is not counted. A step must cost the database 1 ms.
COUNT_UP_TO = 2_000


@require_safe
def large_image(request: HttpRequest, slug: str, sha256: str) -> HttpResponse:
    """Return the part of a page that shows one image in large. The gallery loads it into a dialog."""
    user = user_of(request)
    picture = image_for(user, slug, sha256)
    dataset = picture.dataset
    head = champion(dataset)
    narrowed = GalleryQuery.of(request, dataset, list(active_labels(dataset)))
    (image,) = filter_images(dataset, head, {}).filter(pk=picture.pk)
    attach_labels(dataset, [image])
    near = neighbours(dataset, head, image, narrowed, user, count_up_to=COUNT_UP_TO)
    context = {
        "dataset": dataset,
        "head": head,
        "image": image,
        "near": near,
        "query": narrowed.query,
        # The page of the gallery that begins with this image.
        "page_url": reverse("images", args=[slug])
        + f"?{urlencode(narrowed.kept | ({'after': near.newer_key} if near.newer_key else {}), doseq=True)}",
    }
    return render(request, "web/_large.html", context)
