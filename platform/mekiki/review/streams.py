"""Names of the streams for people. The stream codes are for tables, exports and programs."""

from django.utils.translation import gettext_lazy as _

from mekiki.review.models import Stream

STREAM_NAMES = {
    Stream.UNCERTAIN: _("model unsure"),
    Stream.DIVERSE: _("unlike the others"),
    Stream.AUDIT: _("audit sample"),
    Stream.GOLD: _("gold image"),
    Stream.RECHECK: _("review again"),
    Stream.CERTIFY: _("audit of a certificate"),
    Stream.REPEAT: _("hidden repeat"),
}


def stream_words(code: str) -> str:
    """Return the name of the stream in the user's language. An unknown code is returned unchanged."""
    return str(STREAM_NAMES[Stream(code)]) if code in Stream.values else str(code)
