"""A user's own mail address, mails about changes of an account, and sessions that an admin ends."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.totp.internal import auth as totp
from django.core import mail
from django.core.management import CommandError, call_command
from django.test import Client, override_settings
from django.urls import reverse

from mekiki.accounts import mail_reset, outbox, own_mail, services
from mekiki.accounts.clients import Client as Place
from mekiki.accounts.messages import ACCOUNT_CHANGES
from mekiki.accounts.models import OutgoingMail, Session, User
from mekiki.accounts.second_factor import services as factors
from mekiki.audit.models import Event
from tests import factories
from tests.factories import PASSWORD

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("with_mail")]
NEW = "four words of my own"


@pytest.fixture
def hana() -> User:
    return factories.UserFactory(username="hana", email="hana@example.com", language="en")


@pytest.fixture
def root() -> User:
    return factories.UserFactory(username="root", is_superuser=True)


def logged_in_client(user: User) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


def mailed_link() -> str:
    outbox.send_waiting_mails()
    match = re.search(
        r"https://mekiki\.example(/\S+)", next(m.body for m in mail.outbox if "day, logged in" in m.body)
    )
    assert match
    return match[1]


def test_new_mail_address_is_stored_after_its_link_was_used(hana: User) -> None:
    client = logged_in_client(hana)
    assert client.post(reverse("own-mail"), {"email": "new@example.com"}).status_code == 302
    hana.refresh_from_db()
    assert hana.email == "hana@example.com"
    address = mailed_link()
    assert mail.outbox[0].to == ["new@example.com"]
    assert logged_in_client(factories.UserFactory()).get(address).status_code == 410  # another user's link
    assert "new@example.com" in client.get(address).content.decode()
    hana.refresh_from_db()
    assert hana.email == "hana@example.com"  # a program that opens links changes nothing
    assert client.post(address).status_code == 302
    hana.refresh_from_db()
    assert hana.email == "new@example.com"
    assert client.post(address).status_code == 410  # already used
    outbox.send_waiting_mails()
    assert {m.to[0] for m in mail.outbox[1:]} == {"hana@example.com", "new@example.com"}
    kinds = Event.objects.filter(kind__startswith="user.mail").order_by("pk").values_list("kind", flat=True)
    assert list(kinds) == ["user.mail_asked", "user.mail_changed"]
    assert "new@example.com" not in str(list(Event.objects.values_list("data", flat=True)))


def test_a_forged_or_old_link_changes_nothing(hana: User, monkeypatch: pytest.MonkeyPatch) -> None:
    client = logged_in_client(hana)
    for token in ("x", "W10:1:x", "%00"):
        assert client.post(f"/accounts/mail/{token}/").status_code == 410
    own_mail.request_email_change(user=hana, email="new@example.com")
    address = mailed_link()
    monkeypatch.setattr(own_mail, "VALID", timedelta(seconds=-1))
    assert client.post(address).status_code == 410
    hana.refresh_from_db()
    assert hana.email == "hana@example.com"


def test_change_of_address_after_an_old_login_needs_the_password(hana: User) -> None:
    client = logged_in_client(hana)
    from mekiki.config import clock

    Session.objects.update(created_at=clock.now() - timedelta(hours=1))
    assert client.post(reverse("own-mail"), {"email": "new@example.com"}).status_code == 403
    assert not OutgoingMail.objects.exists()
    form = {"email": "new@example.com", "confirm_password": PASSWORD}
    assert client.post(reverse("own-mail"), form).status_code == 302
    assert OutgoingMail.objects.count() == 1


def test_confirmation_links_are_limited_and_need_configured_mail(hana: User) -> None:
    client = logged_in_client(hana)
    for n in range(own_mail.PER_HOUR + 3):
        client.post(reverse("own-mail"), {"email": f"new{n}@example.com"})
    assert OutgoingMail.objects.count() == own_mail.PER_HOUR
    for wrong in ("nobody", "a@b", "hana@example.com"):
        assert client.post(reverse("own-mail"), {"email": wrong}).status_code == 422
    with override_settings(EMAIL_HOST=""):
        answer = client.post(reverse("own-mail"), {"email": "other@example.com"})
        assert answer.status_code == 422 and "sends no mail" in answer.content.decode()
    client.post(reverse("own-mail"), {"email": ""})  # removing the address needs no link
    hana.refresh_from_db()
    assert hana.email == ""


def add_app(user: User) -> str:
    secret = totp.generate_totp_secret()
    step = next(iter(totp.yield_hotp_counters_from_time()))
    factors.add_app(user=user, secret=secret, code=totp.format_hotp_value(totp.hotp_value(secret, step)))
    return secret


def remove_app(user: User, root: User) -> None:
    from allauth.mfa.models import Authenticator

    add_app(user)
    factors.remove(user=user, factor=Authenticator.objects.get(user=user, type=Authenticator.Type.TOTP))


def reset_factors(user: User, root: User) -> None:
    add_app(user)
    factors.reset(user=user, actor=root)


def reset_by_link(user: User, root: User) -> None:
    key, token = mail_reset.password_reset_url(user).rstrip("/").split("/")[-2:]
    place = Place(address="192.0.2.1")
    assert mail_reset.set_password_by_link(key=key, token=token, password=NEW, client=place)


def add_passkey(user: User, root: User) -> None:
    factors.add_passkey(user=user, name="phone", credential={"id": "x"}, alone=False)


def remove_passkey(user: User, root: User) -> None:
    from allauth.mfa.models import Authenticator

    add_passkey(user, root)
    factors.remove(user=user, factor=Authenticator.objects.get(user=user, type=Authenticator.Type.WEBAUTHN))


def make_recovery_codes(user: User, root: User) -> None:
    add_app(user)
    factors.make_recovery_codes(user=user)


ACTS: dict[str, Callable[[User, User], Any]] = {
    "user.password_changed": lambda user, root: services.change_password(user=user, password=NEW, actor=user),
    "user.password_reset": lambda user, root: services.reset_password(user=user, password=NEW, actor=root),
    "user.password_reset_by_mail": reset_by_link,
    "user.mail_changed": lambda user, root: services.set_email(user=user, email="b@example.com", actor=root),
    "user.app_added": lambda user, root: add_app(user),
    "user.app_removed": remove_app,
    "user.factors_reset": reset_factors,
    "user.passkey_added": add_passkey,
    "user.passkey_removed": remove_passkey,
    "user.recovery_codes_made": make_recovery_codes,
}


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("kind", ACTS)
def test_a_change_is_mailed_without_any_secret(kind: str, language: str, hana: User, root: User) -> None:
    hana.language = language
    hana.save()
    ACTS[kind](hana, root)
    outbox.send_waiting_mails()
    from django.utils import translation

    with translation.override(language):
        sentence = ACCOUNT_CHANGES.render(kind)
    mails = [m for m in mail.outbox if sentence in m.body]
    assert len(mails) == (2 if kind == "user.mail_changed" else 1), [m.body for m in mail.outbox]
    for message in mails:
        assert NEW not in message.body and "/accounts/" not in message.body and "hana" in message.body


def test_every_account_notice_has_a_test_case() -> None:
    others = {kind for kind in ACCOUNT_CHANGES if kind.startswith("user.sign_on_")}  # their own tests
    assert set(ACTS) == set(ACCOUNT_CHANGES) - others


def test_no_mail_is_queued_without_mail_server_or_address(hana: User) -> None:
    with override_settings(EMAIL_HOST=""):
        services.change_password(user=hana, password=NEW, actor=hana)
    other = factories.UserFactory(email="")
    services.change_password(user=other, password=NEW, actor=other)
    assert not OutgoingMail.objects.exists()


def test_refused_change_sends_no_mail(hana: User) -> None:
    from django.core.exceptions import ValidationError

    with pytest.raises(ValidationError):
        services.change_password(user=hana, password="short", actor=hana)
    assert not OutgoingMail.objects.exists()


def test_an_admin_ends_all_sessions_of_a_user(hana: User, root: User) -> None:
    browsers = [logged_in_client(hana) for _n in range(3)]
    admin = logged_in_client(root)
    assert "End all sessions" in admin.get(reverse("user", args=[hana.pk])).content.decode()
    answer = admin.post(reverse("user-sessions", args=[hana.pk]), follow=True)
    assert "3 sessions are logged out." in answer.content.decode()
    assert all(browser.get(reverse("account")).status_code == 302 for browser in browsers)
    assert admin.get(reverse("account")).status_code == 200
    event = Event.objects.get(kind="user.all_sessions_ended")
    assert (event.actor_name, event.data) == ("root", {"name": "hana", "n": 3})


def test_password_commands_of_django_obey_the_rules(hana: User, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match="mekiki user-password hana"):
        call_command("changepassword", "hana")
    call_command("createsuperuser", username="second", email="second@example.com", interactive=False)
    password = capsys.readouterr().out.strip()
    created = User.objects.get(username="second")
    assert created.is_superuser and created.must_change_password and created.check_password(password)
    event = Event.objects.get(kind="user.created")
    assert event.data == {"name": "second", "is_admin": True}
