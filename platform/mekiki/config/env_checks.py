"""Checks for the values of environment variables.

A check returns None for an allowed value. Otherwise it returns what is allowed, in words that complete the
sentence "NAME must be …".
"""

import ipaddress
import re
from collections.abc import Callable
from urllib.parse import urlsplit
from zoneinfo import available_timezones

Check = Callable[[str], str | None]

MAX_LENGTH = 8192
FLAGS = frozenset({"1", "true", "yes", "on", "0", "false", "no", "off"})
_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^,\s]*)?")
_HOST = re.compile(
    r"\.?[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})|\[[0-9A-Fa-f:.%a-z]+\]|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]+|\*"
)


def plain(value: str) -> str | None:
    """Allow text on one line, of at most MAX_LENGTH characters.

    All other checks run after this check.
    """
    if len(value) > MAX_LENGTH:
        return f"text of at most {MAX_LENGTH} characters"
    if not value.isprintable():
        return "text on one line, without control characters"
    return None


def whole_number(low: int, high: int) -> Check:
    """Return a check for whole numbers from low to high."""

    def check(value: str) -> str | None:
        if not re.fullmatch(r"-?[0-9]+", value):
            return "a whole number"
        fits = re.fullmatch(r"[0-9]{1,18}", value) and low <= int(value) <= high
        return None if fits else f"a whole number from {low} to {high}"

    return check


def one_of(*values: str) -> Check:
    """Return a check that allows only these values."""
    return lambda value: None if value in values else " or ".join([", ".join(values[:-1]), values[-1]])


def flag(value: str) -> str | None:
    """Allow the words that mean yes or no."""
    return None if value.lower() in FLAGS else "1 (yes) or 0 (no)"


def path(value: str) -> str | None:
    """Allow a path whose components are short enough for a file system."""
    fits = len(value.encode()) <= 4096 and all(len(part.encode()) <= 255 for part in value.split("/"))
    return None if fits else "a path, with at most 255 bytes between two slashes"


def comma_separated(check: Check, many: str) -> Check:
    """Return a check for a comma-separated list whose members pass `check`.

    `many` names the members in words, for the message.
    """

    def check_all(value: str) -> str | None:
        members = [member.strip() for member in value.split(",") if member.strip()]
        wrong = next((allowed for member in members if (allowed := check(member)) is not None), None)
        return None if wrong is None and members else f"{many}, separated by commas"

    return check_all


def host(value: str) -> str | None:
    """Allow a host name or an IP address, without a port."""
    return None if _HOST.fullmatch(value) else "a host name or IP address, such as 127.0.0.1, without a port"


def url(*schemes: str, example: str) -> Check:
    """Return a check for URLs with one of these schemes."""

    def check(value: str) -> str | None:
        try:
            parts = urlsplit(value)
            fits = parts.scheme in schemes and " " not in value and (parts.port or 1) > 0
        except ValueError:
            fits = False
        return None if fits else f"a URL such as {example}"

    return check


def bucket(value: str) -> str | None:
    """Allow the address of a bucket with an optional prefix."""
    return None if _BUCKET.fullmatch(value) else "an address such as s3://photos/line3"


def origin(value: str) -> str | None:
    """Allow the origin of a web page: scheme and host, with an optional port."""
    fits = re.fullmatch(r"https?://[A-Za-z0-9*._\[\]:-]+", value)
    return None if fits else "an origin such as https://mekiki.example.com"


def issuer(value: str) -> str | None:
    """Allow the issuer of an OpenID provider: an https URL, or an http URL of this machine.

    The issuer is part of the stored identities of users, so its length is limited.
    """
    allowed = (
        "a URL such as https://login.example.com, with https (http on this machine only), at most 200 "
        "characters"
    )
    try:
        parts = urlsplit(value)
        local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
        fits = (
            len(value) <= 200
            and bool(parts.hostname)
            and (parts.scheme == "https" or (parts.scheme == "http" and local))
            and not (parts.query or parts.fragment or parts.username or parts.password or " " in value)
            and not parts.path.endswith("/.well-known/openid-configuration")
            and (parts.port or 1) > 0
        )
    except ValueError:
        fits = False
    return None if fits else allowed


def at_most(longest: int) -> Check:
    """Return a check for text of at most `longest` characters."""
    return lambda value: None if len(value) <= longest else f"text of at most {longest} characters"


def word(value: str) -> str | None:
    """Allow a name without blanks, as single sign-on providers use for claims and client ids."""
    return None if re.fullmatch(r"\S{1,191}", value) else "one word of at most 191 characters"


def mail_address(value: str) -> str | None:
    """Allow a mail address."""
    fits = re.fullmatch(r"[^@\s<>]{1,64}@[A-Za-z0-9.-]{1,255}", value)
    return None if fits else "a mail address such as mekiki@example.com"


def device(value: str) -> str | None:
    """Allow the device names of torch, and auto."""
    return (
        None
        if re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,3})?", value)
        else "auto, cpu, cuda or cuda:0, cuda:1 …"
    )


def time_zone(value: str) -> str | None:
    """Allow a name from the IANA time zone database."""
    return None if value in available_timezones() else "a name such as Asia/Tokyo, Europe/Berlin or UTC"


def user_name(value: str) -> str | None:
    """Allow the user names that Django allows."""
    fits = re.fullmatch(r"[\w.@+-]{1,150}", value)
    return None if fits else "a user name of letters, digits and @ . + - _, at most 150 characters"


def network(value: str) -> str | None:
    """Allow an IP address or an IP network."""
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return "an IP address or a network such as 10.0.0.0/24"
    return None


def contact(value: str) -> str | None:
    """Allow a contact URI: mailto, https or tel."""
    fits = re.fullmatch(r"(mailto:[^\s@]+@[^\s@]+|https://\S+|tel:[0-9+.-]+)", value)
    return None if fits else "a URI such as mailto:security@example.com"


def role_name(value: str) -> str | None:
    """Allow the name of a database role."""
    return None if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", value) else "the name of a database role"
