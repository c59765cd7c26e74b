"""Confirming a sensitive action without a password: by a second factor or by a new sign-on."""

import re
import time
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.socialaccount.models import SocialAccount
from django.test import Client
from django.urls import reverse

from mekiki.accounts.models import User
from mekiki.audit.models import Event
from tests import factories, oidc
from tests.accounts.test_confirming import age_sessions
from tests.accounts.test_second_factor import set_up
from tests.accounts.test_sign_on import begin, latest_event, page_after
from tests.oidc import Provider

pytestmark = pytest.mark.django_db
NEW = {"name": "kei", "password": "", "language": "ja"}


@pytest.fixture
def platform_admin() -> User:
    """Return an admin of the platform who has no password."""
    user = User(username="boss", is_superuser=True)
    user.set_unusable_password()
    user.save()
    return user


@pytest.fixture
def old_login(platform_admin: User, client: Client) -> Client:
    client.force_login(platform_admin)
    age_sessions()
    return client


def test_code_confirms_the_action_and_input_is_kept(platform_admin: User, old_login: Client) -> None:
    app, codes = set_up(platform_admin)
    unconfirmed = old_login.post(reverse("user-create"), NEW)
    page = unconfirmed.content.decode()
    assert unconfirmed.status_code == 403 and 'name="confirm_code"' in page and "confirm_password" not in page
    wrong = old_login.post(reverse("user-create"), {**NEW, "confirm_code": "000000"})
    assert wrong.status_code == 403 and "The code is wrong" in wrong.content.decode()
    assert 'value="kei"' in wrong.content.decode() and not User.objects.filter(username="kei").exists()
    assert old_login.post(reverse("user-create"), {**NEW, "confirm_code": app.code()}).status_code == 200
    assert User.objects.get(username="kei").language == "ja"
    assert latest_event("user.confirmed").data["method"] == "app"
    age_sessions()
    active = reverse("user-active", args=[User.objects.get(username="kei").pk])
    assert old_login.post(active, {"active": "0", "confirm_code": codes[0]}).status_code == 302
    assert latest_event("user.confirmed").data["method"] == "recovery_code"


def test_wrong_codes_at_the_confirmation_are_slowed(platform_admin: User, old_login: Client) -> None:
    app, _codes = set_up(platform_admin)
    for _n in range(5):
        old_login.post(reverse("user-create"), {**NEW, "confirm_code": "000000"})
    slowed = old_login.post(reverse("user-create"), {**NEW, "confirm_code": app.code()})
    assert slowed.status_code == 403 and "Too many wrong codes" in slowed.content.decode()
    assert Event.objects.filter(kind="user.second_step_failed").count() == 5


def test_invalid_passkey_credential_is_refused(platform_admin: User, old_login: Client) -> None:
    set_up(platform_admin)
    for credential in ("{}", "null", "x", '{"id": 1}'):
        answer = old_login.post(reverse("user-create"), {**NEW, "confirm_credential": credential})
        assert answer.status_code == 403 and "was not accepted" in answer.content.decode(), credential


def test_user_without_password_and_factor_is_referred_to_an_admin(old_login: Client) -> None:
    page = old_login.post(reverse("user-create"), NEW).content.decode()
    assert "Ask an admin of the platform for a password" in page and "confirm_code" not in page
    assert old_login.post(reverse("user-create"), {**NEW, "confirm_password": "!"}).status_code == 403


class TestConfirmationBySignOn:
    @pytest.fixture(autouse=True)
    def site(self, idp: Provider, settings: Any, tmp_path: Path, platform_admin: User) -> None:
        oidc.configure_site(idp, settings, tmp_path)
        SocialAccount.objects.create(
            user=platform_admin, provider=idp.issuer, uid="boss-1", extra_data={"name": "boss"}
        )
        idp.user("boss-1", preferred_username="boss")

    def ask(self, old_login: Client) -> str:
        """Send a form from the page of users and return the address that the confirmation leads back to."""
        page = old_login.post(
            reverse("user-create"), NEW, HTTP_REFERER="http://testserver/accounts/users/?q=k"
        ).content.decode()
        assert "Confirm with Example Works" in page
        form = page.split(reverse("sign-on-confirm"))[1]
        return unescape(re.search(r'name="next" value="([^"]*)"', form).group(1))  # type: ignore[union-attr]

    def test_new_login_at_the_provider_confirms_and_returns(self, idp: Provider, old_login: Client) -> None:
        back = self.ask(old_login)
        assert back == "/accounts/users/?q=k"
        address = begin(old_login, "sign-on-confirm", next=back)
        parameters = parse_qs(urlsplit(address).query)
        assert parameters["prompt"] == ["login"] and parameters["max_age"] == ["0"]
        idp.user("boss-1", preferred_username="boss", auth_time=int(time.time()))
        answer = old_login.get(idp.sign_on(address, "boss-1"))
        assert answer["Location"] == back and "Confirmed. Now repeat the action" in page_after(
            old_login, answer
        )
        event = latest_event("user.confirmed")
        assert event.data["method"] == "sign_on" and event.data["address"] == "127.0.0.1"
        assert old_login.post(reverse("user-create"), NEW).status_code == 200
        assert User.objects.filter(username="kei").exists()

    @pytest.mark.parametrize("auth_time", [None, 0, "now", True, timedelta(hours=-1), timedelta(hours=1)])
    def test_old_login_at_the_provider_does_not_confirm(
        self, auth_time: Any, idp: Provider, old_login: Client
    ) -> None:
        if isinstance(auth_time, timedelta):
            auth_time = int(time.time() + auth_time.total_seconds())
        idp.user("boss-1", preferred_username="boss", auth_time=auth_time)
        answer = old_login.get(
            idp.sign_on(begin(old_login, "sign-on-confirm", next="/accounts/users/"), "boss-1")
        )
        assert answer["Location"] == "/accounts/users/" and "the confirmation is not valid" in page_after(
            old_login, answer
        )
        assert latest_event("user.sign_on_failed").data["reason"] == "auth_time"
        assert old_login.post(reverse("user-create"), NEW).status_code == 403

    def test_login_of_another_user_does_not_confirm(
        self, idp: Provider, platform_admin: User, old_login: Client
    ) -> None:
        other = factories.UserFactory(username="hana")
        SocialAccount.objects.create(user=other, provider=idp.issuer, uid="hana-1")
        for subject in ("hana-1", "nobody"):
            idp.user(subject, preferred_username="x", auth_time=int(time.time()))
            answer = old_login.get(idp.sign_on(begin(old_login, "sign-on-confirm"), subject))
            assert "a different user" in page_after(old_login, answer)
        assert old_login.post(reverse("user-create"), NEW).status_code == 403
        assert old_login.session["_auth_user_id"] == str(platform_admin.pk) and User.objects.count() == 2

    def test_sign_on_that_began_as_a_login_does_not_confirm(
        self, idp: Provider, platform_admin: User, old_login: Client
    ) -> None:
        """The sign-on logs in again in the same browser, but the session was not opened by it."""
        idp.user("boss-1", preferred_username="boss", auth_time=int(time.time()))
        address = begin(Client())
        assert old_login.get(idp.sign_on(address, "boss-1")).status_code == 302
        assert old_login.post(reverse("user-create"), NEW).status_code == 403

    @pytest.mark.parametrize(
        ("authenticated_ago", "amr", "status"),
        [(7200, [], 403), (7200, ["mfa"], 403), (None, [], 403), (-7200, [], 403), (0, [], 200)],
    )
    def test_login_without_a_new_authentication_does_not_confirm(
        self,
        authenticated_ago: int | None,
        amr: list[str],
        status: int,
        idp: Provider,
        settings: Any,
        client: Client,
    ) -> None:
        """A person with an open browser can log in again while the session at the provider continues."""
        settings.OIDC_SECOND_FACTOR = ["mfa"]
        auth_time = None if authenticated_ago is None else int(time.time()) - authenticated_ago
        idp.user("boss-1", preferred_username="boss", auth_time=auth_time, amr=amr)
        client.get(idp.sign_on(begin(client), "boss-1"))
        assert client.post(reverse("user-create"), NEW).status_code == status

    def test_a_confirmation_counts_once_and_in_its_own_session(
        self, idp: Provider, platform_admin: User, old_login: Client
    ) -> None:
        other = Client()
        other.force_login(platform_admin)
        age_sessions()
        idp.user("boss-1", preferred_username="boss", auth_time=int(time.time()))
        back = idp.sign_on(begin(other, "sign-on-confirm"), "boss-1")
        old_login.get(back)
        assert old_login.post(reverse("user-create"), NEW).status_code == 403
        other.get(back)
        assert old_login.post(reverse("user-create"), NEW).status_code == 403
        assert other.post(reverse("user-create"), NEW).status_code == 200
        age_sessions()
        other.get(back)
        assert latest_event("user.sign_on_failed").data["reason"] == "state"
        assert other.post(reverse("user-create"), NEW).status_code == 403

    def test_a_first_sign_on_may_set_up_a_second_factor(
        self, idp: Provider, settings: Any, client: Client
    ) -> None:
        settings.OIDC_NEW_ACCOUNTS = True
        idp.user("new", preferred_username="new")
        client.get(idp.sign_on(begin(client), "new"))
        assert client.post(reverse("second-factor-app"), {"code": "1"}).status_code == 422

    @pytest.mark.parametrize("target", ["home", "no-such-page", "?page=2"])
    def test_return_address_that_is_no_path_becomes_the_account_page(
        self, target: str, idp: Provider, old_login: Client
    ) -> None:
        idp.user("boss-1", preferred_username="boss", auth_time=int(time.time()))
        answer = old_login.get(idp.sign_on(begin(old_login, "sign-on-confirm", next=target), "boss-1"))
        assert answer["Location"] == reverse("account")

    def test_the_link_to_sign_on_needs_a_linked_identity(self, settings: Any, old_login: Client) -> None:
        SocialAccount.objects.update(provider="https://before.example.com")
        assert "sign-on/confirm" not in old_login.post(reverse("user-create"), NEW).content.decode()

    @pytest.mark.parametrize(
        "page", ["https://evil.example.com/x", "http://testserver.evil/x", "", "javascript:x"]
    )
    def test_referrer_of_another_site_is_no_return_address(self, page: str, old_login: Client) -> None:
        answer = old_login.post(reverse("user-create"), NEW, HTTP_REFERER=page).content.decode()
        assert 'name="next" value=""' in answer

    def test_linking_and_unlinking_need_a_confirmation(self, idp: Provider, old_login: Client) -> None:
        account = SocialAccount.objects.get()
        for url in (reverse("sign-on-link"), reverse("sign-on-unlink", args=[account.pk])):
            assert old_login.post(url).status_code == 403
        assert SocialAccount.objects.exists() and "/oauth2/authorize" not in idp.requested_paths
