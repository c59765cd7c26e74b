"""Why an image is asked about, in words for people. The codes of the streams are for tables, exports and programs."""

from django.utils.translation import gettext_lazy as _

from mekiki.review.models import Stream

WORDS = {
    Stream.UNCERTAIN: _("model unsure"),
    Stream.DIVERSE: _("unlike the others"),
    Stream.AUDIT: _("audit sample"),
    Stream.GOLD: _("known answer"),
    Stream.RECHECK: _("asked again"),
}


def stream_words(code: str) -> str:
    """The stream in the reader's language; a code that is not known here reads as itself."""
    return str(WORDS[Stream(code)]) if code in Stream.values else str(code)
