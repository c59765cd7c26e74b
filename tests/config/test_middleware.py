""" "The address of the client, and the headers that every response has."""

from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from mekiki.config import env
from mekiki.config.middleware import ProxyMiddleware


def process_request(peer: str, **headers: str) -> HttpRequest:
    request = RequestFactory().get("/", REMOTE_ADDR=peer, headers=headers)
    ProxyMiddleware(lambda _request: HttpResponse())(request)
    return request


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("10.0.0.5", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.5", "198.51.100.66, 203.0.113.9", "203.0.113.9"),  # the client wrote the first address
        ("10.0.0.5", "198.51.100.66, 203.0.113.9, 10.1.0.7", "203.0.113.9"),  # two proxies
        ("10.0.0.5", "10.1.0.7, 10.0.0.5", "10.1.0.7"),
        ("10.0.0.5", "2001:db8::7", "2001:db8::7"),
        ("::ffff:10.0.0.5", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.5", "not an address", "10.0.0.5"),
        ("10.0.0.5", "", "10.0.0.5"),
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),  # not a proxy of ours
        ("", "203.0.113.9", ""),
    ],
)
def test_client_address_is_taken_from_trusted_proxies(
    peer: str, forwarded: str, expected: str, settings: Any
) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.5", "10.1.0.0/24"]
    request = process_request(peer, **{"X-Forwarded-For": forwarded})
    assert request.META["REMOTE_ADDR"] == expected
    assert "HTTP_X_FORWARDED_FOR" not in request.META


@pytest.mark.parametrize(("peer", "secure"), [("10.0.0.5", True), ("192.0.2.1", False)])
def test_https_header_is_trusted_from_proxies_only(peer: str, secure: bool, settings: Any) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.5"]
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert process_request(peer, **{"X-Forwarded-Proto": "https"}).is_secure() is secure


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/accounts/login/", "/healthz", "/nothing-here/", "STATIC"])
def test_every_response_has_the_security_headers(path: str, client: Client, settings: Any) -> None:
    answer = client.get(
        f"/{settings.STATIC_URL.strip('/')}/mekiki/css/base.css" if path == "STATIC" else path
    )
    assert "camera=()" in answer.headers["Permissions-Policy"]
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert "frame-ancestors" in answer.headers["Content-Security-Policy"]


@pytest.mark.django_db
def test_security_txt_shows_the_contact_or_answers_404(client: Client, settings: Any) -> None:
    settings.SECURITY_CONTACT = []
    assert client.get("/.well-known/security.txt").status_code == 404
    settings.SECURITY_CONTACT = ["mailto:security@example.com", "https://example.com/report"]
    answer = client.get("/.well-known/security.txt")
    text = answer.content.decode()
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert text.startswith(
        "Contact: mailto:security@example.com\nContact: https://example.com/report\nExpires: 20"
    )


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("MEKIKI_TRUSTED_PROXIES", "10.0.0.5, 2001:db8::/32", "proxy.example.com"),
        ("MEKIKI_SECURITY_CONTACT", "mailto:a@example.com,https://example.com/x", "a@example.com"),
    ],
)
def test_values_of_variables_are_checked(name: str, good: str, bad: str) -> None:
    assert env.validation_message(name, good) is None
    assert env.validation_message(name, bad)


def test_secret_variables_are_not_passed_to_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEKIKI_ADMIN_PASSWORD", "a-long-secret-1")
    assert env.pop("MEKIKI_ADMIN_PASSWORD") == "a-long-secret-1"
    assert "MEKIKI_ADMIN_PASSWORD" not in env.child_environment({})
