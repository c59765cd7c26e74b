"""A provider that is down or hangs, a missing secret, and unlimited failures of sign-ons."""

import contextlib
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from mekiki.accounts.models import LoginTry, Session
from mekiki.accounts.sign_on import failures, network
from mekiki.accounts.sign_on.failures import RECORDED_PER_HOUR
from mekiki.audit.models import Event
from tests import factories, oidc
from tests.accounts.test_sign_on import begin, latest_event, page_after
from tests.factories import PASSWORD
from tests.oidc import Provider

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def site(idp: Provider, settings: Any, tmp_path: Path) -> Any:
    """Configure single sign-on."""
    oidc.configure_site(idp, settings, tmp_path)
    return settings


def test_unreachable_provider_is_reported_and_passwords_still_work(site: Any, client: Client) -> None:
    with socket.socket() as closed_socket:
        closed_socket.bind(("127.0.0.1", 0))
        site.OIDC_ISSUER = f"http://127.0.0.1:{closed_socket.getsockname()[1]}"
    answer = client.post(reverse("sign-on"))
    assert "did not answer" in page_after(client, answer)
    assert latest_event("user.sign_on_failed").data["reason"] == "unreachable"
    factories.UserFactory(username="hana")
    assert client.post(reverse("login"), {"username": "hana", "password": PASSWORD})["Location"] == "/"


@pytest.mark.parametrize(
    "beginning", [None, b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"]
)
def test_sign_on_at_a_hanging_or_slow_provider_ends_after_seconds(
    beginning: bytes | None, site: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "READ_SECONDS", 0.5)
    monkeypatch.setattr(network, "TOTAL_SECONDS", 1.0)
    stop = threading.Event()

    def serve(server: socket.socket) -> None:
        connection, _address = server.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(beginning or b"")
            while not stop.wait(0.1):
                connection.sendall(b" " if beginning else b"")

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        site.OIDC_ISSUER = f"http://127.0.0.1:{server.getsockname()[1]}"
        thread = threading.Thread(target=serve, args=[server], daemon=True)
        thread.start()
        before = time.monotonic()
        answer = client.post(reverse("sign-on"))
        seconds = time.monotonic() - before
        stop.set()
        thread.join(5)
    assert seconds < 4 and "did not answer" in page_after(client, answer)


def test_hanging_provider_does_not_block_all_threads_of_the_site(
    site: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "SLOTS", threading.BoundedSemaphore(1))
    monkeypatch.setattr(network, "SLOT_SECONDS", 0.1)
    with network.SLOTS:
        before = time.monotonic()
        answer = client.post(reverse("sign-on"))
        assert time.monotonic() - before < 3 and "did not answer" in page_after(client, answer)
    begin(client)  # and a new sign-on is accepted again


def test_missing_secret_is_reported_without_its_path(
    site: Any, tmp_path: Path, client: Client, caplog: Any
) -> None:
    for content in (None, b"", b"\n", b"two\nlines", b"\xff\xfe", b"x" * 5000):
        file = tmp_path / "secret"
        file.unlink(missing_ok=True)
        if content is not None:
            file.write_bytes(content)
        site.OIDC_CLIENT_SECRET_FILE = str(file)
        page = page_after(client, client.post(reverse("sign-on")))
        assert "not set up correctly" in page and str(tmp_path) not in page
        assert "MEKIKI_OIDC_CLIENT_SECRET_FILE" in caplog.text and "two" not in caplog.text
        caplog.clear()


def test_failed_sign_ons_do_not_slow_passwords_and_events_are_limited(client: Client) -> None:
    factories.UserFactory(username="hana")
    for _n in range(RECORDED_PER_HOUR + 20):
        assert client.get(reverse("sign-on-callback"), {"state": "x", "code": "y"}).status_code == 302
    assert Event.objects.filter(kind="user.sign_on_failed").count() == RECORDED_PER_HOUR
    assert not LoginTry.objects.filter(is_known=False).exists()
    assert not Session.objects.exclude(user=None).exists()
    answer = client.post(reverse("login"), {"username": "hana", "password": PASSWORD})
    assert answer["Location"] == "/"


def test_failures_of_one_network_are_counted_together(client: Client) -> None:
    """An IPv6 customer has 2⁶⁴ addresses."""
    for n in range(RECORDED_PER_HOUR + 5):
        client.get(reverse("sign-on-callback"), REMOTE_ADDR=f"2001:db8::{n:x}")
    assert Event.objects.filter(kind="user.sign_on_failed").count() == RECORDED_PER_HOUR


def test_limit_on_failures_of_strangers_does_not_apply_to_users(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "RECORDED_OF_STRANGERS", 3)
    for n in range(5):
        client.get(reverse("sign-on-callback"), REMOTE_ADDR=f"192.0.2.{n}")
    assert Event.objects.filter(kind="user.sign_on_failed").count() == 3
    hana = factories.UserFactory(username="hana")
    client.force_login(hana)
    client.get(reverse("sign-on-callback"), REMOTE_ADDR="192.0.2.1")
    assert latest_event("user.sign_on_failed").actor_id == hana.pk
