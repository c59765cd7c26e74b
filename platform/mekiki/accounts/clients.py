"""The client of a request: its address, its browser and its device cookie.

A browser gets the device cookie at its first login, so that it is known at later logins.
"""

import hashlib
import ipaddress
import re
import secrets
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse

DEVICE_COOKIE = "mekiki_device"
DEVICE_COOKIE_DAYS = 180
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_CONTROL = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")


@dataclass(frozen=True)
class Client:
    """The address, the user agent and the token of the device cookie ("" if there is none)."""

    address: str = ""
    agent: str = ""
    device: str = ""

    @property
    def network(self) -> str:
        """Return the address by which tries are counted.

        For an IPv6 address this is the /64 network, because a customer has the whole network.
        """
        try:
            parsed = ipaddress.ip_address(self.address)
        except ValueError:
            return self.address
        if isinstance(parsed, ipaddress.IPv6Address):
            mapped = parsed.ipv4_mapped
            return str(mapped or ipaddress.ip_network((parsed, 64), strict=False))
        return str(parsed)

    @property
    def device_key(self) -> str:
        """Return the key under which a known device is stored, or "" without a device cookie."""
        return f"device:{hashlib.sha256(self.device.encode()).hexdigest()}" if self.device else ""

    @property
    def address_key(self) -> str:
        """Return the key under which a known address is stored, or "" without an address."""
        return f"address:{self.network}" if self.network else ""

    def for_event(self) -> dict[str, str]:
        """Return the data of an event about this client."""
        return {"address": self.address, "agent": self.agent}


def address_of(request: HttpRequest) -> str:
    """Return the address of the client. ProxyMiddleware has already looked behind trusted proxies."""
    return str(request.META.get("REMOTE_ADDR", ""))[:64]


def client_of(request: HttpRequest | None) -> Client:
    """Return the client of a request.

    Without a request, for example in a command on the server, return an empty client.
    """
    if request is None:
        return Client()
    agent = _CONTROL.sub(" ", str(request.META.get("HTTP_USER_AGENT", "")))[:300].strip()
    token = request.COOKIES.get(DEVICE_COOKIE, "")
    return Client(address_of(request), agent, token if _TOKEN.fullmatch(token) else "")


def new_device_token() -> str:
    """Return a token of 256 random bits for a device cookie."""
    return secrets.token_urlsafe(32)


def set_device_cookie(response: HttpResponse, token: str) -> None:
    """Set the device cookie, so that the browser is known at its next login."""
    response.set_cookie(
        DEVICE_COOKIE,
        token,
        max_age=DEVICE_COOKIE_DAYS * 24 * 3600,
        httponly=True,
        secure=settings.HTTPS,
        samesite="Lax",
    )
