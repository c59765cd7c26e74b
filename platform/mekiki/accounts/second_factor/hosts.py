"""The hosts on which passkeys work.

Browsers offer passkeys only with https or on localhost, and never on an IP address.
"""

import ipaddress

from django.http import HttpRequest


def passkeys_work(request: HttpRequest) -> bool:
    """Return whether a browser offers passkeys on the host of this request."""
    host = _name(request)
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return request.is_secure()
    return False


def localhost_address(request: HttpRequest) -> str:
    """Return the address of this page on localhost, if the request came to this machine's IP address.

    In all other cases, return "".
    """
    host, _colon, port = request.get_host().rpartition(":")
    if host in {"127.0.0.1", "[::1]"} and not request.is_secure():
        return f"http://localhost:{port}{request.get_full_path()}"
    return ""


def _name(request: HttpRequest) -> str:
    host = request.get_host()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
