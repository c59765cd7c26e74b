"""Single sign-on with a real OpenID provider: login, first sign-on, linking, and refused users."""

import re
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.socialaccount.models import SocialAccount, SocialToken
from django.contrib.sessions.models import Session as OtherSession
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from mekiki.accounts import mail_reset
from mekiki.accounts.clients import Client as Browser
from mekiki.accounts.models import OutgoingMail, PasswordReset, Session, User
from mekiki.accounts.second_factor import selectors
from mekiki.accounts.sign_on import services
from mekiki.audit.models import Event
from tests import factories, oidc
from tests.accounts.test_second_factor import set_up
from tests.factories import PASSWORD
from tests.oidc import Provider

pytestmark = pytest.mark.django_db
AGENT = "Mozilla/5.0 (Windows NT 10.0) Firefox/130.0"


@pytest.fixture(autouse=True)
def site(idp: Provider, settings: Any, tmp_path: Path) -> Any:
    """Configure single sign-on that creates accounts."""
    oidc.configure_site(idp, settings, tmp_path, OIDC_NEW_ACCOUNTS=True)
    return settings


@pytest.fixture
def visitor() -> Client:
    return Client(HTTP_USER_AGENT=AGENT)


def begin(client: Client, name: str = "sign-on", **form: str) -> str:
    """Press the sign-on button and return the provider's address that the page leads to."""
    page = client.post(reverse(name), form)
    assert page.status_code == 200, page.get("Location")
    match = re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', page.content.decode())
    assert match is not None and "no-store" in page["Cache-Control"]
    return unescape(match.group(1))


def sign_on(client: Client, idp: Provider, subject: str, **form: str) -> Any:
    return client.get(idp.sign_on(begin(client, **form), subject))


def link_identity(user: User, subject: str, issuer: str) -> SocialAccount:
    return SocialAccount.objects.create(user=user, provider=issuer, uid=subject, extra_data={"name": subject})


def is_logged_in(client: Client) -> bool:
    return client.get(reverse("account")).status_code == 200


def page_after(client: Client, answer: Any) -> str:
    """Return the text of the page that a redirect leads to."""
    return unescape(client.get(answer["Location"]).content.decode())


def latest_event(kind: str) -> Event:
    return Event.objects.filter(kind=kind).latest("pk")


def test_button_is_shown_only_if_single_sign_on_is_configured(site: Any, client: Client) -> None:
    page = client.get(reverse("login")).content.decode()
    assert "Log in with Example Works" in page and f'action="{reverse("sign-on")}"' in page
    site.OIDC_NAME = ""
    assert "Log in with single sign-on" in client.get(reverse("login")).content.decode()
    site.OIDC_ISSUER = ""
    assert reverse("sign-on") not in client.get(reverse("login")).content.decode()
    assert client.post(reverse("sign-on")).status_code == 404
    assert client.get(reverse("sign-on-callback")).status_code == 404
    assert client.get(reverse("sign-on")).status_code == 405


def test_linked_user_is_redirected_to_the_requested_page(idp: Provider, visitor: Client) -> None:
    hana = factories.UserFactory(username="hana")
    link_identity(hana, "sub-1", idp.issuer)
    answer = sign_on(visitor, idp, "sub-1", next="/accounts/sessions/")
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/sessions/")
    page = visitor.get("/accounts/sessions/").content.decode()
    assert "single sign-on" in page and "Firefox" in page
    event = latest_event("user.logged_in")
    assert event.actor_id == hana.pk and event.data["methods"] == ["sign_on"]
    assert event.data["address"] == "127.0.0.1" and event.data["agent"] == AGENT
    assert visitor.cookies["mekiki_device"].value


def test_request_has_pkce_state_nonce_and_the_scope_of_a_name_only(client: Client) -> None:
    parameters = parse_qs(urlsplit(begin(client)).query)
    assert parameters["code_challenge_method"] == ["S256"] and len(parameters["code_challenge"][0]) == 43
    assert len(parameters["state"][0]) == 43 and len(parameters["nonce"][0]) == 43
    assert parameters["response_type"] == ["code"] and set(parameters["scope"][0].split()) == {
        "openid",
        "profile",
    }
    assert parameters["redirect_uri"] == ["http://testserver/accounts/sign-on/callback/"]
    assert "client_secret" not in parameters and "prompt" not in parameters
    other = parse_qs(urlsplit(begin(client)).query)
    assert all(parameters[name] != other[name] for name in ("state", "nonce", "code_challenge"))


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_secret_is_sent_by_the_method_of_the_provider(
    method: str, idp: Provider, site: Any, tmp_path: Path, client: Client
) -> None:
    oidc.configure_site(idp, site, tmp_path, method=method)

    def advertise_method(path: str, answer: Any) -> Any:
        if "openid-configuration" in path and method == "client_secret_post":
            return oidc.with_values(answer, token_endpoint_auth_methods_supported=[method])
        return answer

    idp.tamper = advertise_method
    idp.user("sub-2", preferred_username="kei")
    assert sign_on(client, idp, "sub-2")["Location"] == "/"
    assert is_logged_in(client)


def test_first_sign_on_creates_an_account_without_rights(idp: Provider, visitor: Client) -> None:
    idp.user(
        "sub-3", preferred_username="Ｋeiko", email="keiko@example.com", groups=["admins"], is_superuser=True
    )
    assert sign_on(visitor, idp, "sub-3").status_code == 302 and is_logged_in(visitor)
    user = User.objects.get(username="Keiko")
    assert not (user.is_superuser or user.is_staff or user.may_create_datasets or user.memberships.exists())
    assert not user.has_usable_password() and user.email == "" and not user.must_change_password
    event = latest_event("user.created_at_sign_on")
    assert event.data["name"] == "Keiko" and event.data["issuer"] == idp.issuer
    assert event.data["address"] == "127.0.0.1" and event.data["agent"] == AGENT
    # The same subject is the same user, even if the provider reports another name now.
    idp.user("sub-3", preferred_username="renamed")
    assert sign_on(Client(), idp, "sub-3").status_code == 302
    assert User.objects.count() == 1


def test_tokens_are_not_stored(idp: Provider, visitor: Client) -> None:
    idp.user("sub-4", preferred_username="kei", birthdate="1990-01-01", phone_number="+81")
    sign_on(visitor, idp, "sub-4")
    account = SocialAccount.objects.get()
    assert (account.provider, account.uid, account.extra_data) == (idp.issuer, "sub-4", {"name": "kei"})
    assert not SocialToken.objects.exists() and not OtherSession.objects.exists()
    session_data = str(Session.objects.get().get_decoded())
    assert not re.search(r"ey[A-Za-z0-9_-]{20,}\.|access|birthdate", session_data), session_data


def test_session_before_the_second_step_holds_no_token(idp: Provider, client: Client) -> None:
    hana = factories.UserFactory(username="hana")
    set_up(hana)
    link_identity(hana, "sub-5", idp.issuer)
    assert sign_on(client, idp, "sub-5")["Location"] == reverse("mfa_authenticate")
    session_data = str(client.session.get("account_login"))
    assert "pbkdf2" not in session_data and "token" not in session_data and hana.password not in session_data


def test_an_account_is_never_taken_over_by_name_or_mail_address(idp: Provider, client: Client) -> None:
    factories.UserFactory(username="hana", email="hana@example.com")
    for claims in (
        {"preferred_username": "hana"},
        {"preferred_username": "HANA"},
        {"preferred_username": "hаna"},
        {"preferred_username": "other", "email": "hana@example.com", "email_verified": True},
    ):
        idp.user("thief", **claims)
        answer = sign_on(client, idp, "thief")
        if claims["preferred_username"] == "other":
            assert User.objects.get(pk=client.session["_auth_user_id"]).username == "other"
            continue
        page = page_after(client, answer)
        assert "No account was created" in page and not is_logged_in(client)
    reasons = (
        Event.objects.filter(kind="user.sign_on_failed").order_by("pk").values_list("data__reason", flat=True)
    )
    assert list(reasons) == ["name_taken", "name_taken", "name_refused"]
    assert sorted(User.objects.values_list("username", flat=True)) == ["hana", "other"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("", "name_missing"), ("two words", "name_refused"), ("<b>", "name_refused"), (7, "name_missing"),
     ("hana\u0000x", "made"), ("a\u115fb", "name_refused")],
)  # fmt: skip
def test_unusable_name_is_refused_with_a_reason(
    name: Any, reason: str, idp: Provider, client: Client
) -> None:
    idp.user("sub-6", preferred_username=name)
    answer = sign_on(client, idp, "sub-6")
    if reason == "made":
        assert User.objects.get().username == "hanax"
        return
    assert "no account was created" in page_after(client, answer).lower()
    assert latest_event("user.sign_on_failed").data["reason"] == reason and not User.objects.exists()


def test_sign_on_without_new_accounts_tells_how_to_link(idp: Provider, site: Any, client: Client) -> None:
    site.OIDC_NEW_ACCOUNTS = False
    idp.user("sub-7", preferred_username="kei")
    answer = sign_on(client, idp, "sub-7")
    assert answer["Location"] == reverse("login")
    assert "link single sign-on on the page of your account" in page_after(client, answer)
    assert not User.objects.exists() and latest_event("user.sign_on_failed").data["reason"] == "not_linked"


def test_same_subject_of_another_issuer_is_another_user(idp: Provider, site: Any, client: Client) -> None:
    site.OIDC_NEW_ACCOUNTS = False
    hana = factories.UserFactory(username="hana")
    link_identity(hana, "sub-8", "https://before.example.com")
    assert sign_on(client, idp, "sub-8")["Location"] == reverse("login") and not is_logged_in(client)


def test_sign_on_of_a_deactivated_user_is_refused(idp: Provider, client: Client) -> None:
    hana = factories.UserFactory(username="hana", is_active=False)
    link_identity(hana, "sub-9", idp.issuer)
    answer = sign_on(client, idp, "sub-9")
    assert "deactivated" in page_after(client, answer) and not is_logged_in(client)
    event = latest_event("user.login_refused")
    assert event.data["name"] == "hana" and event.data["address"] == "127.0.0.1"


def test_only_users_of_the_allowed_groups_sign_on(idp: Provider, site: Any, client: Client) -> None:
    site.OIDC_GROUPS = ["inspection", "it"]
    for groups in (None, [], ["sales"], "sales", 7, {"inspection": 1}):
        idp.user("sub-10", preferred_username="kei", groups=groups)
        assert "group" in page_after(client, sign_on(client, idp, "sub-10")), groups
    assert not User.objects.exists() and latest_event("user.sign_on_failed").data["reason"] == "group"
    idp.user("sub-10", preferred_username="kei", groups=["sales", "it"])
    assert sign_on(client, idp, "sub-10").status_code == 302 and is_logged_in(client)


def test_claims_missing_in_the_token_are_requested(idp: Provider, client: Client) -> None:
    def add_claims(path: str, answer: Any) -> Any:
        return oidc.with_values(answer, preferred_username="kei") if path == "/userinfo" else answer

    idp.tamper = add_claims
    idp.user("sub-11")
    assert sign_on(client, idp, "sub-11").status_code == 302
    assert User.objects.get().username == "kei" and "/userinfo" in idp.requested_paths


def test_cancelled_sign_on_is_not_recorded_as_failure(idp: Provider, visitor: Client) -> None:
    answer = visitor.get(idp.cancel(begin(visitor)))
    assert answer["Location"] == reverse("login") and "was cancelled" in page_after(visitor, answer)
    event = latest_event("user.sign_on_cancelled")
    assert event.data == {"name": "", "reason": "cancelled", "address": "127.0.0.1", "agent": AGENT}
    # Providers send the state back. This test leaves it out.
    state = parse_qs(urlsplit(begin(visitor)).query)["state"][0]
    visitor.get(reverse("sign-on-callback"), {"error": "access_denied", "state": state})
    assert Event.objects.filter(kind="user.sign_on_cancelled").count() == 2
    assert not Event.objects.filter(kind="user.sign_on_failed").exists()


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example.com/", "//evil.example.com", "/\\evil.example.com",
        "javascript:alert(1)", "x" * 9000,
    ],
)  # fmt: skip
def test_sign_on_redirects_to_pages_of_this_site_only(target: str, idp: Provider, client: Client) -> None:
    link_identity(factories.UserFactory(), "sub-12", idp.issuer)
    assert sign_on(client, idp, "sub-12", next=target)["Location"] == "/"


def test_a_user_links_and_unlinks_on_the_own_page(idp: Provider, visitor: Client) -> None:
    hana = factories.UserFactory(username="hana")
    visitor.force_login(hana)
    assert "Not linked" in visitor.get(reverse("account")).content.decode()
    idp.user("sub-13", preferred_username="hana@works")
    answer = visitor.get(idp.sign_on(begin(visitor, "sign-on-link"), "sub-13"))
    assert answer["Location"] == reverse("account")
    page = page_after(visitor, answer)
    assert "hana@works" in page and "Linked. You can log in with Example Works now." in page
    event = latest_event("user.sign_on_linked")
    assert (
        event.actor_id == hana.pk and event.data["identity"] == "hana@works" and event.data["agent"] == AGENT
    )
    other = Client()
    assert sign_on(other, idp, "sub-13").status_code == 302 and is_logged_in(other)
    account = SocialAccount.objects.get()
    assert visitor.post(reverse("sign-on-unlink", args=[account.pk]))["Location"] == reverse("account")
    assert not SocialAccount.objects.exists() and latest_event("user.sign_on_unlinked").data["agent"] == AGENT
    assert is_logged_in(visitor) and not is_logged_in(other), "other sessions end"
    assert visitor.post(reverse("sign-on-unlink", args=[account.pk])).status_code == 404


def test_linking_and_unlinking_are_mailed_to_the_user(idp: Provider, settings: Any, client: Client) -> None:
    settings.EMAIL_HOST, settings.PUBLIC_URL = "mail.example.com", "https://mekiki.example.com"
    hana = factories.UserFactory(username="hana", email="hana@example.com")
    client.force_login(hana)
    client.get(idp.sign_on(begin(client, "sign-on-link"), "sub-20"))
    client.post(reverse("sign-on-unlink", args=[SocialAccount.objects.get().pk]))
    bodies = list(OutgoingMail.objects.order_by("pk").values_list("body", flat=True))
    assert "was linked" in bodies[0] and "was removed" in bodies[1] and len(bodies) == 2


def test_an_identity_belongs_to_one_user(idp: Provider, client: Client) -> None:
    hana, kei = factories.UserFactory(username="hana"), factories.UserFactory(username="kei")
    account = link_identity(kei, "sub-14", idp.issuer)
    client.force_login(hana)
    answer = client.get(idp.sign_on(begin(client, "sign-on-link"), "sub-14"))
    assert "belongs to another user" in page_after(client, answer)
    account.refresh_from_db()
    assert account.user_id == kei.pk and client.session["_auth_user_id"] == str(hana.pk)
    assert client.post(reverse("sign-on-unlink", args=[account.pk])).status_code == 404
    assert latest_event("user.sign_on_failed").data["reason"] == "linked_to_another"
    for n in range(services.MAX_IDENTITIES):
        link_identity(hana, f"own-{n}", idp.issuer)
    answer = client.get(idp.sign_on(begin(client, "sign-on-link"), "one-more"))
    assert "Nothing was linked" in page_after(client, answer)
    assert hana.socialaccount_set.count() == services.MAX_IDENTITIES


def test_link_that_another_user_began_is_not_completed(idp: Provider, client: Client) -> None:
    hana, kei = factories.UserFactory(username="hana"), factories.UserFactory(username="kei")
    client.force_login(hana)
    back = idp.sign_on(begin(client, "sign-on-link"), "sub-15")
    session = client.session
    session["_auth_user_id"], session["_auth_user_hash"] = str(kei.pk), kei.get_session_auth_hash()
    session.save()
    client.get(back)
    assert not SocialAccount.objects.exists()
    client.logout()
    client.get(back)
    assert not SocialAccount.objects.exists()


def test_link_that_is_the_only_way_to_log_in_cannot_be_removed(idp: Provider, client: Client) -> None:
    idp.user("sub-16", preferred_username="kei")
    sign_on(client, idp, "sub-16")
    account = SocialAccount.objects.get()
    answer = client.post(reverse("sign-on-unlink", args=[account.pk]))
    assert "only way to log in" in page_after(client, answer) and SocialAccount.objects.exists()
    page = client.get(reverse("account")).content.decode()
    assert "You have no password" in page and "old_password" not in page
    assert client.get(reverse("password-change"))["Location"] == reverse("account")
    link_identity(account.user, "old", "https://before.example.com")
    with pytest.raises(ValidationError):
        services.unlink(user=account.user, account_id=account.pk, request=answer.wsgi_request)


def test_user_without_a_password_gets_no_reset_mail(site: Any) -> None:
    user = User(username="kei", email="kei@example.com")
    user.set_unusable_password()
    user.save()
    mail_reset.request_password_reset(name="kei", client=Browser("127.0.0.1"))
    assert PasswordReset.objects.get().user is None


def test_sign_on_asks_for_the_second_factor_of_this_site(idp: Provider, client: Client) -> None:
    hana = factories.UserFactory(username="hana")
    app, _codes = set_up(hana)
    link_identity(hana, "sub-17", idp.issuer)
    idp.user("sub-17", preferred_username="hana", amr=["pwd", "mfa"])
    step = sign_on(client, idp, "sub-17", next="/accounts/sessions/")
    assert step["Location"] == reverse("mfa_authenticate") and not is_logged_in(client)
    assert client.post(step["Location"], {"code": app.code()})["Location"] == "/accounts/sessions/"
    assert latest_event("user.logged_in").data["methods"] == ["sign_on", "app"]


@pytest.mark.parametrize(
    ("trusted", "claims", "is_asked"),
    [
        (["mfa"], {"amr": ["pwd", "mfa"]}, False), (["phrh"], {"acr": "phrh"}, False), (["mfa"], {}, True),
        (["mfa"], {"amr": ["pwd"]}, True), (["mfa"], {"amr": [["mfa"]]}, True),
        (["mfa"], {"amr": "mfa"}, False),
        ([], {"amr": ["mfa"], "acr": ""}, True),
    ],
)  # fmt: skip
def test_second_factor_of_the_provider_counts_if_the_site_trusts_it(
    trusted: list[str], claims: dict[str, Any], is_asked: bool, idp: Provider, site: Any, client: Client
) -> None:
    site.OIDC_SECOND_FACTOR = trusted
    hana = factories.UserFactory(username="hana")
    set_up(hana)
    link_identity(hana, "sub-18", idp.issuer)
    idp.user("sub-18", **{"preferred_username": "hana", **claims})
    answer = sign_on(client, idp, "sub-18")
    assert (answer["Location"] == reverse("mfa_authenticate")) == is_asked
    if not is_asked:
        assert latest_event("user.logged_in").data["methods"] == ["sign_on", "provider_factor"]


def test_trusted_factor_of_the_provider_is_enough_for_admins(
    idp: Provider, site: Any, client: Client
) -> None:
    from mekiki.accounts.models import SiteSettings

    boss = factories.UserFactory(username="boss", is_superuser=True)
    link_identity(boss, "sub-19", idp.issuer)
    SiteSettings.objects.update_or_create(pk=1, defaults={"second_factor_required": True})
    idp.user("sub-19", preferred_username="boss", amr=["mfa"])
    sign_on(client, idp, "sub-19")
    assert client.get(reverse("users"))["Location"] == reverse("second-factor"), (
        "the site does not trust the factor of the provider"
    )
    site.OIDC_SECOND_FACTOR = ["mfa"]
    trusted = Client()
    sign_on(trusted, idp, "sub-19")
    assert trusted.get(reverse("users")).status_code == 200
    # The second factor belongs to that session only. A login by password has no second factor.
    by_password = Client()
    by_password.post(reverse("login"), {"username": "boss", "password": PASSWORD})
    assert by_password.get(reverse("users"))["Location"] == reverse("second-factor")
    site.OIDC_SECOND_FACTOR = []
    assert trusted.get(reverse("users"))["Location"] == reverse("second-factor")
    assert not selectors.has_second_factor(boss)


def test_messages_of_sign_on_are_translated(idp: Provider, client: Client) -> None:
    client.cookies["django_language"] = "ja"
    page = page_after(client, client.get(idp.cancel(begin(client))))
    assert "シングルサインオン" in page and "cancelled" not in page


def test_user_without_a_password_cannot_log_in_by_password(client: Client) -> None:
    user = User(username="kei")
    user.set_unusable_password()
    user.save()
    for password in ("", "!", user.password):
        client.post(reverse("login"), {"username": "kei", "password": password})
    assert not is_logged_in(client)


def test_page_of_a_user_shows_links_and_a_missing_password(idp: Provider, client: Client) -> None:
    user = User(username="kei")
    user.set_unusable_password()
    user.save()
    link_identity(user, "kei@works", idp.issuer)
    client.force_login(factories.UserFactory(is_superuser=True))
    page = client.get(reverse("user", args=[user.pk])).content.decode()
    assert "kei@works" in page and "chosen by the user" not in page


def test_an_admin_removes_the_links_of_a_user(idp: Provider, settings: Any, client: Client) -> None:
    """A stranger linked an identity to another person's account. A new password does not remove that link."""
    settings.EMAIL_HOST, settings.PUBLIC_URL = "mail.example.com", "https://mekiki.example.com"
    boss = factories.UserFactory(username="boss", is_superuser=True)
    hana = factories.UserFactory(username="hana", email="hana@example.com")
    for subject in ("thief-1", "thief-2"):
        link_identity(hana, subject, idp.issuer)
    thief = Client()
    sign_on(thief, idp, "thief-1")
    url = reverse("user-sign-on", args=[hana.pk])
    assert is_logged_in(thief) and thief.post(url).status_code == 403
    client.force_login(boss)
    assert url in client.get(reverse("user", args=[hana.pk])).content.decode()
    assert "2 links of single sign-on were removed" in page_after(client, client.post(url))
    assert not hana.socialaccount_set.exists() and not is_logged_in(thief)
    events = Event.objects.filter(kind="user.sign_on_unlinked", actor_id=boss.pk, object_id=str(hana.pk))
    assert {event.data["identity"] for event in events} == {"thief-1", "thief-2"}
    assert OutgoingMail.objects.filter(to="hana@example.com").count() == 1
    assert "has no link" in page_after(client, client.post(url))
    link_identity(boss, "boss-1", idp.issuer)
    client.post(reverse("user-sign-on", args=[boss.pk]))
    assert boss.socialaccount_set.exists(), "an admin's own links are not removed here"
