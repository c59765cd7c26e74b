"""The original of an image as a download, unless it could reveal a label before the audit."""

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from mekiki.accounts.http import user_of
from mekiki.datasets import views as datasets
from mekiki.datasets.access import image_for
from mekiki.review.blinding import unshown_ids


@require_safe
def original(request: HttpRequest, slug: str, sha256: str) -> HttpResponseBase:
    """Return the bytes as they were imported.

    Raises PermissionDenied (403) while the image hides its name, because the file contains the name or more.
    """
    image = image_for(user_of(request), slug, sha256)
    if unshown_ids(image.dataset, [image.pk]):
        raise PermissionDenied(
            _(
                "This image belongs to the audit sample and has not been judged yet. Its file is "
                "kept. You can download it once the image has been judged, because its name and "
                "content could reveal the label."
            )
        )
    return datasets.original(request, image)
