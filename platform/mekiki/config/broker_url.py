"""The URL of the broker, with a check of its certificate."""


def with_checked_certificate(url: str) -> str:
    """Return the URL of the broker, with a required certificate check for `rediss://`.

    Without this parameter kombu accepts any certificate. A URL that sets ssl_cert_reqs stays as it is, so
    `?ssl_cert_reqs=none` in BROKER_URL turns the check off on purpose.
    """
    if not url.startswith("rediss://") or "ssl_cert_reqs=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=required"
