"""Names of images that were chosen in the gallery: a saved view, a filter, or a selection."""

from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mekiki.learning.figures import count

# The filter that is a selection: ids of images with points between them.
IDS = "ids"


def describe_images(view: str, query: str) -> str:
    """Return the words for the images of a query string of the gallery. view: a saved view, or ""."""
    if view:
        return _("the images of the saved view “%(name)s” (%(query)s)") % {
            "name": view,
            "query": _readable(query),
        }
    if selected := QueryDict(query).get(IDS):
        n = selected.count(".") + 1
        text = ngettext("%(n)s image selected in the gallery", "%(n)s images selected in the gallery", n)
        return text % {"n": count(n)}
    return _("the images of a filter of the gallery (%(query)s)") % {"query": _readable(query)}


def _readable(query: str) -> str:
    """Return the filters of a query string without the escapes of an address: label=3, metadata=line=A."""
    return ", ".join(f"{name}={value}" for name, values in QueryDict(query).lists() for value in values)
