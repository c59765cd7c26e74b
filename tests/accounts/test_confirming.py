"""Sensitive actions: the password is asked again, input is kept, guessing is slowed down.

Admins can also lose the admin role.
"""

import re
import threading
from html import unescape
from io import StringIO

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F
from django.test import Client
from django.urls import reverse

from mekiki.accounts import confirming, services
from mekiki.accounts.models import Membership, Session, User
from mekiki.audit.models import Event
from tests import factories
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.fixture
def platform_admin() -> User:
    return factories.UserFactory(username="boss", is_superuser=True)


@pytest.fixture
def old_login(platform_admin: User, client: Client) -> Client:
    """Return an admin who logged in a while ago."""
    client.force_login(platform_admin)
    age_sessions()
    return client


def age_sessions() -> None:
    Session.objects.update(
        created_at=F("created_at") - confirming.RECENT, confirmed_at=F("confirmed_at") - confirming.RECENT
    )


def hidden_fields(html: str) -> dict[str, str]:
    html = html.split('<form class="form card"')[1]
    return {
        unescape(name): unescape(value)
        for name, value in re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', html)
        if name != "csrfmiddlewaretoken"
    }


def test_sensitive_action_asks_for_the_password_and_keeps_the_input(old_login: Client) -> None:
    form = {"name": "hana", "password": "", "may_create_datasets": "on", "language": "ja"}
    unconfirmed = old_login.post(reverse("user-create"), form)
    assert unconfirmed.status_code == 403 and "Confirm that it is you" in unconfirmed.content.decode()
    assert "no-store" in unconfirmed["Cache-Control"]
    assert not User.objects.filter(username="hana").exists()
    kept_fields = hidden_fields(unconfirmed.content.decode())
    assert kept_fields == form
    wrong = old_login.post(reverse("user-create"), {**kept_fields, "confirm_password": "wrong"})
    assert wrong.status_code == 403 and "not your password" in wrong.content.decode()
    assert hidden_fields(wrong.content.decode()) == form
    confirmed = old_login.post(reverse("user-create"), {**kept_fields, "confirm_password": PASSWORD})
    assert confirmed.status_code == 200 and "data-password" in confirmed.content.decode()
    hana = User.objects.get(username="hana")
    assert (hana.language, hana.may_create_datasets) == ("ja", True)
    kinds = list(Event.objects.order_by("pk").values_list("kind", flat=True))
    assert kinds == ["user.login_failed", "user.confirmed", "user.created"]
    # The password is not asked again within the next minutes. Later it is.
    assert old_login.post(reverse("user-active", args=[hana.pk]), {"active": "0"}).status_code == 302
    age_sessions()
    assert old_login.post(reverse("user-active", args=[hana.pk]), {"active": "1"}).status_code == 403


def test_every_sensitive_action_asks_for_the_password(old_login: Client) -> None:
    person = factories.UserFactory(username="hana")
    dataset = factories.DatasetFactory(slug="parts", reviewer=person)
    before = list(Event.objects.values_list("kind", flat=True))
    addresses = [
        *(
            reverse(name, args=[person.pk])
            for name in ("user-active", "user-may-create", "user-password", "user-admin")
        ),
        reverse("user-create"), reverse("members", args=["parts"]), reverse("user-mail", args=[person.pk]),
        *(
            reverse(name)
            for name in ("second-factor-app", "passkey-add", "recovery-codes", "second-factor-required")
        ),
        reverse("second-factor-remove", args=[1]), reverse("user-factors", args=[person.pk]),
        reverse("user-sign-on", args=[person.pk]),
        *(reverse(name, args=["parts", person.pk]) for name in ("member-role", "member-remove")),
    ]  # fmt: skip
    for url in addresses:
        answer = old_login.post(url, {"role": "admin", "active": "0", "admin": "1"})
        assert answer.status_code == 403 and "confirm_password" in answer.content.decode(), url
    assert list(Event.objects.values_list("kind", flat=True)) == before
    assert Membership.objects.get(user=person, dataset=dataset).role == "reviewer"
    assert old_login.get(reverse("users")).status_code == 200, "reading needs no confirmation"


def test_wrong_passwords_at_the_confirmation_are_slowed(old_login: Client) -> None:
    for n in range(6):
        html = old_login.post(reverse("user-create"), {"confirm_password": f"guess {n}"}).content.decode()
    assert "Too many wrong passwords" in html
    assert Event.objects.filter(kind="user.login_failed", data__door="confirm").count() == 5


def test_submitted_fields_are_escaped_in_the_confirmation_page(old_login: Client) -> None:
    html = old_login.post(
        reverse("user-create"), {'"><script>': '"><script>alert(1)</script>'}
    ).content.decode()
    assert "<script>alert" not in html and '"><script>"' not in html


def test_admin_role_is_given_and_withdrawn_except_from_the_last_admin(
    platform_admin: User, client: Client
) -> None:
    client.force_login(platform_admin)
    hana = factories.UserFactory(username="hana")
    page = reverse("user-admin", args=[hana.pk])
    client.post(page, {"admin": "1"})
    hana.refresh_from_db()
    assert hana.is_superuser and hana.is_staff
    client.post(page, {"admin": "0"})
    hana.refresh_from_db()
    assert not hana.is_superuser and not hana.is_staff
    own = reverse("user-admin", args=[platform_admin.pk])
    assert "at least one admin" in client.post(own, {"admin": "0"}, follow=True).content.decode()
    platform_admin.refresh_from_db()
    assert platform_admin.is_superuser
    # A deactivated admin does not count as an admin.
    factories.UserFactory(is_superuser=True, is_active=False)
    with pytest.raises(ValidationError):
        services.set_admin(user=platform_admin, is_admin=False, actor=None)
    with pytest.raises(ValidationError):
        services.set_admin(user=factories.UserFactory(is_active=False), is_admin=True, actor=platform_admin)
    kinds = Event.objects.filter(object_id=str(hana.pk)).order_by("pk").values_list("kind", "actor_id")
    assert list(kinds) == [
        ("user.made_admin", platform_admin.pk),
        ("user.admin_withdrawn", platform_admin.pk),
    ]


def test_commands_give_and_withdraw_admin_roles_and_set_passwords(platform_admin: User) -> None:
    hana = factories.UserFactory(username="hana")
    out, err = StringIO(), StringIO()
    call_command("user_admin", "HANA", stdout=out)
    hana.refresh_from_db()
    assert hana.is_superuser and "admin" in out.getvalue()
    call_command("user_admin", "boss", withdraw=True, stdout=out)
    with pytest.raises(ValidationError):
        call_command("user_admin", "hana", withdraw=True, stdout=out)
    with pytest.raises(CommandError):
        call_command("user_admin", "nobody", stdout=out)
    password_output = StringIO()
    call_command("user_password", "hana", stdout=password_output, stderr=err)
    hana.refresh_from_db()
    assert hana.check_password(password_output.getvalue().strip()) and hana.must_change_password
    kinds = list(Event.objects.order_by("pk").values_list("kind", "actor_id"))
    expected = ["user.made_admin", "user.admin_withdrawn", "user.password_reset"]
    assert kinds == [(kind, None) for kind in expected]


def test_admin_who_withdraws_the_own_role_is_redirected_home(platform_admin: User, client: Client) -> None:
    factories.UserFactory(is_superuser=True)
    client.force_login(platform_admin)
    answer = client.post(reverse("user-admin", args=[platform_admin.pk]), {"admin": "0"})
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert client.get(reverse("users")).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_concurrent_withdrawals_of_admin_roles_keep_one_admin() -> None:
    acts = (
        lambda user, actor: services.set_admin(user=user, is_admin=False, actor=actor),
        lambda user, actor: services.set_active(user=user, active=False, actor=actor),
    )
    for n in range(4):
        User.objects.update(is_superuser=False)
        one, two = (factories.UserFactory(is_superuser=True) for _n in range(2))
        start = threading.Barrier(2)

        def act(user: User, actor: User, do=acts[n % 2], start=start) -> None:
            start.wait()
            try:
                do(user, actor)
            except ValidationError:
                pass
            finally:
                connection.close()

        threads = [threading.Thread(target=act, args=pair) for pair in ((one, two), (two, one))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert User.objects.filter(is_superuser=True, is_active=True).count() == 1


def test_page_of_logins_lists_failed_logins_and_limits(platform_admin: User, client: Client) -> None:
    factories.UserFactory(username="hana")
    for n in range(7):
        Client(HTTP_USER_AGENT="curl/8.5").post(
            "/accounts/login/", {"username": "hana", "password": f"guess {n}"}, REMOTE_ADDR="198.51.100.7"
        )
    Client().post("/accounts/login/", {"username": "my-secret-word", "password": "x"})
    client.force_login(platform_admin)
    html = client.get(reverse("logins")).content.decode()
    for part in ("198.51.100.7", "hana", "curl", "one address", "unknown name", "Limited"):
        assert part in html, part
    assert "my-secret-word" not in html
