"""A broker behind TLS needs a valid certificate, unless the URL says otherwise."""

import ssl

import pytest
from kombu import Connection

from mekiki.config.broker_url import with_checked_certificate


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis+socket:///run/valkey.sock", "redis+socket:///run/valkey.sock"),
        ("rediss://host:6379/0", "rediss://host:6379/0?ssl_cert_reqs=required"),
        ("rediss://host/0?ssl_ca_certs=/a.pem", "rediss://host/0?ssl_ca_certs=/a.pem&ssl_cert_reqs=required"),
        ("rediss://host/0?ssl_cert_reqs=none", "rediss://host/0?ssl_cert_reqs=none"),
    ],
)
def test_only_tls_urls_without_certificate_option_are_changed(url: str, expected: str) -> None:
    assert with_checked_certificate(url) == expected


def test_broker_library_checks_the_certificate() -> None:
    checked = Connection(with_checked_certificate("rediss://host/0")).ssl
    assert checked == {"ssl_cert_reqs": ssl.CERT_REQUIRED}
