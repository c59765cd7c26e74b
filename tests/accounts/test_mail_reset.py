"""Resetting a lost password by mail.

The reply is the same for every name, and a link works once.
"""

import re
from datetime import timedelta
from smtplib import SMTPRecipientsRefused

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import authenticate
from django.core import mail
from django.test import Client, override_settings
from django.urls import reverse

from mekiki.accounts import mail_reset
from mekiki.accounts.models import PasswordReset, User
from mekiki.audit.models import Event
from mekiki.config import clock
from tests import factories
from tests.factories import PASSWORD

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("with_mail")]
NEW = "four words of my own"


@pytest.fixture
def hana() -> User:
    return factories.UserFactory(username="hana", email="hana@example.com", language="ja")


def request_reset(name: str, **more: str) -> str:
    html = Client().post(reverse("password-lost"), {"name": name}, **more).content.decode()
    return re.sub(r"csrf[^>]*>|\"X-CSRFToken\"[^}]*", "", html)


def mailed_link() -> str:
    match = re.search(r"https://mekiki\.example(/\S+)", mail.outbox[-1].body)
    assert match
    return match[1]


def test_a_link_by_mail_changes_the_password_once(hana: User) -> None:
    request_reset("HANA")
    assert mail_reset.send_waiting_resets() == 1 and mail_reset.send_waiting_resets() == 0
    assert mail.outbox[0].to == ["hana@example.com"] and "パスワード" in mail.outbox[0].subject
    client, other = Client(), Client()
    for browser in (client, other):
        assert browser.get(mailed_link())["Location"] == reverse("password-reset")
    page = reverse("password-reset")
    weak = client.post(page, {"new_password1": "short", "new_password2": "short"})
    assert weak.status_code == 422
    assert client.post(page, {"new_password1": NEW, "new_password2": NEW}).status_code == 302
    assert other.post(page, {"new_password1": PASSWORD, "new_password2": PASSWORD}).status_code == 410
    assert Client().get(mailed_link(), follow=True).status_code == 410
    assert authenticate(username="hana", password=NEW) == hana
    kinds = list(Event.objects.order_by("pk").values_list("kind", flat=True))
    assert kinds == ["user.reset_requested", "user.password_reset_by_mail"]


def test_answer_is_the_same_for_every_name_and_only_known_users_get_mail(hana: User) -> None:
    factories.UserFactory(username="no-mail")
    factories.UserFactory(username="gone", email="gone@example.com", is_active=False)
    answers = {
        request_reset(name) for name in ("hana", "hana@example.com", "nobody", "no-mail", "gone", "x" * 254)
    }
    assert len(answers) == 1
    assert mail_reset.send_waiting_resets() == 2
    assert {message.to[0] for message in mail.outbox} == {"hana@example.com"}


def test_number_of_reset_mails_is_limited(hana: User) -> None:
    for _n in range(6):
        request_reset("hana")
    assert mail_reset.send_waiting_resets() == mail_reset.PER_USER
    for n in range(30):
        request_reset(f"nobody{n}")
    assert PasswordReset.objects.count() == mail_reset.PER_ADDRESS


def test_a_recipient_that_is_refused_does_not_delay_the_others(
    hana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.UserFactory(username="bad", email="bad@example.com")
    refused_recipients = []

    def send(subject: str, body: str, sender: str | None, to: list[str]) -> None:
        if to == ["bad@example.com"]:
            refused_recipients.append(to)
            raise SMTPRecipientsRefused({to[0]: (550, b"no such user")})
        mail.send_mail(subject, body, sender, to)

    monkeypatch.setattr(mail_reset, "send_mail", send)
    request_reset("bad")
    request_reset("hana")
    assert mail_reset.send_waiting_resets() == 1 and mail.outbox[0].to == ["hana@example.com"]
    # The refused mail waits before the next try.
    assert mail_reset.send_waiting_resets() == 0 and len(refused_recipients) == 1
    row = PasswordReset.objects.get(user__username="bad")
    assert row.sent_at is None and row.tries == 1 and row.next_at > clock.now()
    PasswordReset.objects.update(next_at=clock.now() - timedelta(seconds=1))
    assert mail_reset.send_waiting_resets() == 0 and len(refused_recipients) == 2
    PasswordReset.objects.update(next_at=clock.now() + timedelta(hours=3))  # the clock was set back
    monkeypatch.setattr(mail_reset, "send_mail", mail.send_mail)
    assert mail_reset.send_waiting_resets() == 1 and mail.outbox[1].to == ["bad@example.com"]


def test_page_refers_to_an_admin_if_mail_is_not_configured(hana: User) -> None:
    with override_settings(EMAIL_HOST=""):
        assert "An admin of the platform can give you a new password" in request_reset("hana")
    assert not PasswordReset.objects.exists()


@pytest.mark.parametrize("key", ["x", "MQ", "!!!!", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5"])
def test_invented_link_is_refused(hana: User, key: str) -> None:
    assert Client().get(reverse("password-reset-link", args=[key, "a-b"]), follow=True).status_code == 410


def test_link_is_invalid_after_a_change_of_the_password(hana: User) -> None:
    request_reset("hana")
    mail_reset.send_waiting_resets()
    hana.set_password(NEW)
    hana.save()
    assert Client().get(mailed_link(), follow=True).status_code == 410
    assert django_settings.PASSWORD_RESET_TIMEOUT == 3600
