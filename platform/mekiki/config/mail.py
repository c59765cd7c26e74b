"""The mail server, from MEKIKI_MAIL_URL."""

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class MailServer:
    """Settings for Django's SMTP backend. With an empty host the site sends no mail."""

    host: str = ""
    port: int = 25
    user: str = ""
    password: str = ""
    ssl: bool = False
    starttls: bool = False


def parse_mail_url(url: str) -> MailServer:
    """Return the mail server of an smtps://, smtp+starttls:// or smtp:// URL.

    smtp:// is not encrypted. env.py has checked the URL before.
    """
    if not url:
        return MailServer()
    parts = urlsplit(url)
    ports = {"smtps": 465, "smtp+starttls": 587}
    return MailServer(
        host=parts.hostname or "",
        port=parts.port or ports.get(parts.scheme, 25),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        ssl=parts.scheme == "smtps",
        starttls=parts.scheme == "smtp+starttls",
    )
