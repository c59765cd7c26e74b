"""Short responses to requests that are refused before Django handles them."""

from django.http import HttpRequest, parse_cookie
from django.utils import translation
from django.utils.translation import gettext as _

from mekiki.config.server.answers import ResponseWriter


def _sentence(status: int) -> str:
    if status == 413:
        return _("This request is larger than allowed. Nothing was stored. Send less, or log in first.")
    return _("The request did not arrive in time. Nothing was stored. Send it again.")


async def send_refusal(answer: ResponseWriter, status: int, headers: dict[str, str]) -> None:
    """Send `status` with a sentence in the language of the reader.

    The connection is closed afterwards.
    """
    request = HttpRequest()
    request.META["HTTP_ACCEPT_LANGUAGE"] = headers.get("accept-language", "")
    request.COOKIES.update(parse_cookie(headers.get("cookie", "")))
    with translation.override(translation.get_language_from_request(request)):
        text = _sentence(status).encode() + b"\n"
    await answer.start(
        status,
        [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(text)).encode()),
            (b"connection", b"close"),
            (b"x-content-type-options", b"nosniff"),
            (b"cache-control", b"no-store"),
        ],
    )
    if not answer.head_only:
        await answer.chunk(text)
    await answer.finish()
