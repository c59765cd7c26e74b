"""Where passkeys work: browsers offer them on https and on localhost only, and never on an IP address."""

import ipaddress

from django.http import HttpRequest


def passkeys_work(request: HttpRequest) -> bool:
    """Whether a browser offers passkeys on the address that was asked."""
    host = _name(request)
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return request.is_secure()
    return False


def localhost_address(request: HttpRequest) -> str:
    """Return this page's address on localhost where the site was asked on this machine's own IP address, else ""."""
    host, _colon, port = request.get_host().rpartition(":")
    if host in {"127.0.0.1", "[::1]"} and not request.is_secure():
        return f"http://localhost:{port}{request.get_full_path()}"
    return ""


def _name(request: HttpRequest) -> str:
    host = request.get_host()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
