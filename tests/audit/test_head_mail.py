"""The newest seal by mail: recipients, times, contents, and what happens after a failed mail."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.exceptions import PermissionDenied, ValidationError
from django.test import Client, override_settings
from django.urls import reverse

from mekiki.accounts import outbox
from mekiki.accounts.models import OutgoingMail, SiteSettings, User
from mekiki.audit import head_mail
from mekiki.audit.models import Event, Seal
from mekiki.audit.sealing import has_rows_to_seal, seal_new_rows
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.config.cli import run
from mekiki.web.events import detail, sentence
from tests import factories

pytestmark = pytest.mark.django_db
TWO = ["qa@example.com", "auditor@example.org"]


@pytest.fixture(autouse=True)
def with_mail() -> Iterator[None]:
    with override_settings(EMAIL_HOST="mail.example", PUBLIC_URL="https://mekiki.example"):
        yield


@pytest.fixture
def root() -> User:
    return factories.UserFactory(username="root", is_superuser=True)


@pytest.fixture
def seal(signing_key: Any) -> Seal:
    record(kind="test.happened")
    seal_new_rows()
    return Seal.objects.get(number=1)


def client_of(user: User) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


def test_the_head_is_mailed_once_a_day_and_only_when_it_is_new(root: User, seal: Seal) -> None:
    assert head_mail.mail_due_head() == 0  # there is no recipient
    head_mail.set_recipients(addresses=TWO, user=root)
    assert head_mail.mail_due_head() == 2 and head_mail.mail_due_head() == 0
    assert outbox.send_waiting_mails() == 2 and outbox.send_waiting_mails() == 0
    assert [message.to for message in mail.outbox] == [[address] for address in TWO]
    body = mail.outbox[0].body
    assert f"mekiki audit verify --head 1:{bytes(seal.log_root).hex()}" in body
    assert "https://mekiki.example" in body and "Signature" in body
    record(kind="test.happened")
    seal_new_rows()
    assert head_mail.mail_due_head() == 0  # a day has not passed
    SiteSettings.objects.update(head_mailed_at=clock.now() - timedelta(days=1, minutes=1))
    assert head_mail.mail_due_head() == 2
    events = list(Event.objects.filter(kind="seal.head_mailed").order_by("pk"))
    assert [event.data["to"] for event in events] == TWO and events[0].data["seal"] == 1
    assert detail(events[0]) == "1 → qa@example.com"


def test_mailing_the_head_requires_no_new_seal(root: User, seal: Seal) -> None:
    head_mail.set_recipients(addresses=TWO[:1], user=root)
    seal_new_rows()
    head_mail.mail_due_head()
    outbox.send_waiting_mails()
    assert Event.objects.filter(kind="seal.head_mailed").exists() and not has_rows_to_seal()


@override_settings(LANGUAGE_CODE="ja")
def test_the_mail_is_in_the_language_of_the_site(root: User, seal: Seal) -> None:
    head_mail.set_recipients(addresses=TWO[:1], user=root)
    head_mail.mail_head(user=root)
    outbox.send_waiting_mails()
    assert "封印 1 の照合値" in mail.outbox[0].subject and "署名" in mail.outbox[0].body


def test_failed_mail_is_retried_shown_and_given_up(
    root: User, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(outbox, "send_mail", refuse)
    head_mail.set_recipients(addresses=TWO[:1], user=root)
    head_mail.mail_head(user=root)
    record(kind="test.happened")
    assert seal_new_rows().seals  # sealing continues
    assert outbox.send_waiting_mails() == 0
    row = OutgoingMail.objects.get()
    assert row.tries == 1 and row.next_at > clock.now() and outbox.send_waiting_mails() == 0
    page = client_of(root).get(reverse("seals")).content.decode()
    assert "qa@example.com: ConnectionRefusedError" in page and "tried again" in page
    for _n in range(outbox.TRIES - 1):
        OutgoingMail.objects.update(next_at=clock.now() - timedelta(seconds=1))
        outbox.send_waiting_mails()
    row.refresh_from_db()
    assert row.given_up_at is not None and row.body == ""
    event = Event.objects.get(kind="site.mail_failed")
    assert "not tried again" in sentence(event) and "qa@example.com" in detail(event)
    assert "not tried again" in client_of(root).get(reverse("seals")).content.decode()


def test_wait_ends_after_the_clock_was_set_back(root: User, seal: Seal) -> None:
    head_mail.set_recipients(addresses=TWO[:1], user=root)
    head_mail.mail_head(user=root)
    OutgoingMail.objects.update(next_at=clock.now() + timedelta(days=400))
    assert outbox.send_waiting_mails() == 1


@pytest.mark.parametrize(
    "wrong", ["no address", "a@b", "a@example.com\nBcc: x@example.com", "x" * 300 + "@e.de"]
)
def test_invalid_addresses_are_refused(wrong: str, root: User, seal: Seal) -> None:
    with pytest.raises(ValidationError):
        head_mail.set_recipients(addresses=[TWO[0], wrong], user=root)
    with pytest.raises(ValidationError):
        head_mail.set_recipients(addresses=[f"a{n}@example.com" for n in range(21)], user=root)
    with pytest.raises(PermissionDenied):
        head_mail.set_recipients(addresses=TWO, user=factories.UserFactory())
    assert head_mail.recipients() == []


def test_admin_sets_the_recipients_on_the_page(root: User, seal: Seal) -> None:
    client, address = client_of(root), reverse("seal-mail")
    answer = client.post(address, {"recipients": "no address"})
    assert answer.status_code == 422 and "is no mail address" in answer.content.decode()
    client.post(address, {"recipients": "\r\n".join(TWO)})
    assert head_mail.recipients() == TWO
    client.post(address, {"act": "now"})
    assert OutgoingMail.objects.count() == 2
    assert TWO[0] not in client_of(factories.UserFactory()).get(reverse("seals")).content.decode()
    event = Event.objects.get(kind="seal.recipients_changed")
    assert event.actor_name == "root" and detail(event).endswith(", ".join(TWO))


def test_page_shows_that_mail_is_not_configured(root: User, seal: Seal) -> None:
    with override_settings(EMAIL_HOST=""):
        page = client_of(root).get(reverse("seals")).content.decode()
        assert "MEKIKI_MAIL_URL" in page
        head_mail.set_recipients(addresses=TWO, user=root)
        assert head_mail.mail_due_head() == 0
        with pytest.raises(ValidationError, match="MEKIKI_MAIL_URL"):
            head_mail.mail_head(user=root)


def test_command_mails_the_head_and_reports_failures(
    root: User, seal: Seal, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["audit", "head", "--mail"]) == 1 and "Enter addresses" in capsys.readouterr().err
    head_mail.set_recipients(addresses=TWO, user=root)
    assert run(["audit", "head", "--mail"]) == 0 and "Mailed to qa@example.com." in capsys.readouterr().out

    def refuse(*args: Any) -> None:
        raise TimeoutError("timed out")

    monkeypatch.setattr(outbox, "send_mail", refuse)
    assert run(["audit", "head", "--mail", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert [(row["to"], row["sent"]) for row in answer] == [(address, False) for address in TWO]
    with override_settings(PUBLIC_URL=""):
        assert run(["audit", "head", "--mail"]) == 1 and "MEKIKI_MAIL_URL" in capsys.readouterr().err
