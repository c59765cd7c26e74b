"""What stands before everything else of a request: who sent it, and headers that every answer has."""

import ipaddress
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

GetResponse = Callable[[HttpRequest], HttpResponseBase]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Nothing of a page may use these, and nobody may embed a page that could.
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


def address(text: str) -> Address | None:
    """Return the IP address a text names, None for anything else. An IPv4 address in IPv6 form is itself."""
    try:
        parsed = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def is_trusted(text: str) -> bool:
    """Whether this address is one of MEKIKI_TRUSTED_PROXIES."""
    parsed = address(text)
    return parsed is not None and any(
        parsed in ipaddress.ip_network(network, strict=False) for network in settings.TRUSTED_PROXIES
    )


def real_address(peer: str, forwarded: str) -> str:
    """Return the address of the client behind trusted proxies: the last one that is none of them.

    Each proxy adds whom it was asked by, so only what trusted proxies have written counts: from the end on.
    """
    client = peer
    for entry in reversed(forwarded.split(",")):
        if not is_trusted(client):
            break
        known = address(entry)
        if known is None:
            break
        client = str(known)
    return client


class ProxyMiddleware:
    """Puts the client's address into REMOTE_ADDR, and drops X-Forwarded-* that no trusted proxy has written."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Settle the address before anybody asks for it."""
        peer = str(request.META.get("REMOTE_ADDR", ""))
        forwarded = request.META.pop("HTTP_X_FORWARDED_FOR", "")
        if not is_trusted(peer):
            for name in ("HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT"):
                request.META.pop(name, None)
        elif forwarded:
            request.META["REMOTE_ADDR"] = real_address(peer, forwarded)
        return self.get_response(request)


class HeadersMiddleware:
    """Adds the headers for browsers that neither Django nor django-csp has; static files get them too."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Add what the view has not set itself."""
        response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return response
