"""The outermost middleware: the address of the client, headers of all responses, and the style sheet."""

import ipaddress
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.templatetags.static import static

from mekiki.config.assets import join_style_sheets

GetResponse = Callable[[HttpRequest], HttpResponseBase]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# No page may use these features, and no page that embeds it may either.
PERMISSIONS = ", ".join(
    f"{feature}=()"
    for feature in (
        *(
            "accelerometer",
            "autoplay",
            "browsing-topics",
            "camera",
            "display-capture",
            "geolocation",
        ),
        *(
            "gyroscope",
            "hid",
            "idle-detection",
            "local-fonts",
            "magnetometer",
            "microphone",
            "midi",
            "payment",
        ),
        *("screen-wake-lock", "serial", "usb", "xr-spatial-tracking"),
    )
)


def parse_address(text: str) -> Address | None:
    """Return the IP address that a text names, None for any other text.

    An IPv4 address in IPv6 form is returned as an IPv4 address.
    """
    try:
        parsed = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def is_trusted(text: str) -> bool:
    """Return whether this address belongs to MEKIKI_TRUSTED_PROXIES."""
    parsed = parse_address(text)
    return parsed is not None and any(
        parsed in ipaddress.ip_network(network, strict=False) for network in settings.TRUSTED_PROXIES
    )


def real_address(peer: str, forwarded: str) -> str:
    """Return the client's address behind trusted proxies: the last address that is no trusted proxy.

    Each proxy appends the address of its own client. Only entries that trusted proxies have written are
    reliable, so the list is read from its end.
    """
    client = peer
    for entry in reversed(forwarded.split(",")):
        if not is_trusted(client):
            break
        known = parse_address(entry)
        if known is None:
            break
        client = str(known)
    return client


class ProxyMiddleware:
    """Middleware that sets REMOTE_ADDR to the address of the client.

    It drops X-Forwarded-* headers that no trusted proxy has written.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Set the address before any other middleware reads it."""
        peer = str(request.META.get("REMOTE_ADDR", ""))
        forwarded = request.META.pop("HTTP_X_FORWARDED_FOR", "")
        if not is_trusted(peer):
            for name in ("HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT"):
                request.META.pop(name, None)
        elif forwarded:
            request.META["REMOTE_ADDR"] = real_address(peer, forwarded)
        return self.get_response(request)


class HeadersMiddleware:
    """Middleware that adds the security headers that neither Django nor django-csp has.

    Static files get them too.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Add the headers that the view has not set."""
        response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return response


class StyleSheetMiddleware:
    """Middleware that serves the style sheets of all components in one file.

    The sheet of the site imports about fifty others. A browser would request and read each of them. With
    DEBUG, the sheets are served separately, so that a change is visible at once.
    """

    SHEET = "mekiki/css/mekiki.css"

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        entry = finders.find(self.SHEET)
        self.content = "" if settings.DEBUG or entry is None else join_style_sheets(Path(entry))
        self.path = static(self.SHEET)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Return the joined sheet, or pass on every other request."""
        if not self.content or request.path_info != self.path or request.method not in {"GET", "HEAD"}:
            return self.get_response(request)
        # The address changes with the content (assets.py).
        headers = {"Cache-Control": "max-age=315360000, public, immutable"}
        return HttpResponse(self.content, content_type="text/css; charset=utf-8", headers=headers)
