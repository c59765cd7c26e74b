"""Where mail is sent through, from MEKIKI_MAIL_URL."""

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class MailServer:
    """What Django's SMTP backend asks for. An empty host: this site sends no mail."""

    host: str = ""
    port: int = 25
    user: str = ""
    password: str = ""
    ssl: bool = False
    starttls: bool = False


def options(url: str) -> MailServer:
    """Return the server of smtps://…, smtp+starttls://… or, unencrypted, smtp://…; the check of env.py has read it."""
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
