"""The address of the broker, with its certificate checked."""


def with_checked_certificate(url: str) -> str:
    """Return the URL of the broker; for `rediss://`, ask for a valid certificate where the URL says nothing of it.

    kombu accepts any certificate otherwise. `?ssl_cert_reqs=none` in BROKER_URL turns the check off knowingly.
    """
    if not url.startswith("rediss://") or "ssl_cert_reqs=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=required"
