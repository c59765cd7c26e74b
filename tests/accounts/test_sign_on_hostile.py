"""Answers of a provider that must not be accepted, and callbacks that no sign-on started."""

import base64
import hmac
import json
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from allauth.socialaccount.models import SocialAccount
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.db import connections
from django.test import Client
from django.urls import get_resolver, reverse

from mekiki.accounts.models import Session, User
from mekiki.accounts.sign_on import network
from mekiki.audit.models import Event
from tests import factories, oidc
from tests.accounts.test_sign_on import (
    begin,
    is_logged_in,
    latest_event,
    link_identity,
    page_after,
    sign_on,
)
from tests.factories import PASSWORD
from tests.oidc import Provider

pytestmark = pytest.mark.django_db
SUBJECT = "hana-1"


@pytest.fixture(autouse=True)
def hana(idp: Provider, settings: Any, tmp_path: Path) -> User:
    """Return a user whose identity an attacker claims."""
    oidc.configure_site(idp, settings, tmp_path)
    idp.user(SUBJECT, preferred_username="hana")
    user = factories.UserFactory(username="hana")
    link_identity(user, SUBJECT, idp.issuer)
    return user


def assert_refused(client: Client, answer: Any, reason: str) -> None:
    assert answer.status_code == 302 and not is_logged_in(client)
    page = page_after(client, answer)
    assert 'class="notice notice--bad"' in page or "Nothing was done" in page
    event = latest_event("user.sign_on_failed")
    assert event.data["reason"] == reason and event.data["address"] == "127.0.0.1"


def test_unchanged_answer_is_accepted(idp: Provider, client: Client) -> None:
    assert sign_on(client, idp, SUBJECT).status_code == 302 and is_logged_in(client)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": "https://evil.example.com"}, "issuer"),
        ({"iss": None}, "token"),
        ({"aud": "another-client"}, "audience"),
        ({"aud": []}, "token"),
        ({"azp": "another-client"}, "audience"),
        ({"exp": int(time.time()) - 120}, "expired"),
        ({"exp": "soon"}, "token"),
        ({"iat": int(time.time()) + 3600}, "token"),
        ({"nbf": int(time.time()) + 3600}, "token"),
        ({"nonce": "another"}, "nonce"),
        ({"nonce": ""}, "nonce"),
        ({"nonce": None}, "nonce"),
    ],
)
def test_claims_of_another_token_are_refused(
    claims: dict[str, Any], reason: str, idp: Provider, client: Client
) -> None:
    idp.user(SUBJECT, preferred_username="hana", **claims)
    assert_refused(client, sign_on(client, idp, SUBJECT), reason)


def test_token_for_several_audiences_needs_the_authorized_party(
    idp: Provider, settings: Any, client: Client
) -> None:
    several = [settings.OIDC_CLIENT_ID, "another-client"]
    idp.user(SUBJECT, preferred_username="hana", aud=several)
    assert_refused(client, sign_on(client, idp, SUBJECT), "audience")
    idp.user(SUBJECT, preferred_username="hana", aud=several, azp=settings.OIDC_CLIENT_ID)
    assert sign_on(client, idp, SUBJECT).status_code == 302 and is_logged_in(client)


def encode_part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def forge_token(token: str, forgery: str) -> str:
    """Return a token with the same claims, signed without the provider's key."""
    header, claims = jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})
    key_header = {"kid": header["kid"]} if "kid" in header else {}
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if forgery == "another key":
        return jwt.encode(claims, key, "RS256", headers=key_header)
    if forgery == "changed":
        first, _body, signature = token.split(".")
        return ".".join((first, encode_part({**claims, "sub": "boss"}), signature))
    if forgery == "none":
        return f"{encode_part({'alg': 'none', 'typ': 'JWT', **key_header})}.{encode_part(claims)}."
    if forgery == "shared secret":
        return jwt.encode(claims, "x" * 64, "HS256", headers=key_header)
    if forgery == "another type":
        return jwt.encode(claims, key, "RS256", headers={**key_header, "typ": "at+jwt"})
    if forgery == "unknown key":
        return jwt.encode(claims, key, "RS256", headers={"kid": "mine"})
    return forgery


@pytest.mark.parametrize(
    ("forgery", "reason"),
    [
        ("another key", "signature"), ("changed", "signature"), ("none", "token"), ("shared secret", "token"),
        ("another type", "token"), ("unknown key", "key"), ("", "token"), ("a.b.c", "token"),
        ("ﾆｾ.モノ.x", "token"),
    ],
)  # fmt: skip
def test_a_token_without_the_signature_of_the_provider_is_refused(
    forgery: str, reason: str, idp: Provider, client: Client
) -> None:
    def tamper(path: str, answer: Any) -> Any:
        if path != "/oauth2/token":
            return answer
        return oidc.with_values(
            answer, id_token=forge_token(json.loads(answer.get_data())["id_token"], forgery)
        )

    idp.tamper = tamper
    assert_refused(client, sign_on(client, idp, SUBJECT), reason)
    assert "/jwks" in idp.requested_paths


@pytest.mark.parametrize("key_source", ["client secret", "public key"])
def test_token_signed_with_a_known_key_is_refused(
    key_source: str, idp: Provider, settings: Any, client: Client
) -> None:
    """HS256 with the client secret, or with the provider's public key used as a secret."""
    jwks: dict[str, Any] = {}

    def tamper(path: str, answer: Any) -> Any:
        if path == "/jwks":
            jwks.update(json.loads(answer.get_data())["keys"][0])
        if path != "/oauth2/token" or not jwks:
            return answer
        claims = jwt.decode(json.loads(answer.get_data())["id_token"], options={"verify_signature": False})
        secret = Path(settings.OIDC_CLIENT_SECRET_FILE).read_text().strip().encode()
        public = jwt.PyJWK(jwks, algorithm="RS256").key.public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        key_header = {"kid": jwks["kid"]} if "kid" in jwks else {}
        signed = f"{encode_part({'alg': 'HS256', 'typ': 'JWT', **key_header})}.{encode_part(claims)}"
        key = secret if key_source == "client secret" else public
        signature = base64.urlsafe_b64encode(hmac.digest(key, signed.encode(), "sha256")).decode().rstrip("=")
        return oidc.with_values(answer, id_token=f"{signed}.{signature}")

    idp.tamper = tamper
    assert sign_on(client, idp, SUBJECT).status_code == 302 and is_logged_in(client)
    client.logout()
    assert_refused(client, sign_on(client, idp, SUBJECT), "token")


@pytest.mark.parametrize(
    ("path", "values", "reason"),
    [
        ("/oauth2/token", {"id_token": None}, "token"),
        ("/oauth2/token", {"id_token": 7}, "token"),
        ("/oauth2/token", {"access_token": None}, "token"),
        ("/.well-known/openid-configuration", {"issuer": "https://evil.example.com"}, "issuer"),
        ("/.well-known/openid-configuration", {"jwks_uri": "file:///etc/passwd"}, "answer"),
        ("/.well-known/openid-configuration", {"token_endpoint": None}, "answer"),
        ("/jwks", {"keys": []}, "key"),
        ("/jwks", {"keys": [7]}, "answer"),
        ("/jwks", {"keys": [{"kty": "oct", "k": "eA"}]}, "key"),
    ],
)
def test_answers_with_invalid_values_are_refused(
    path: str, values: dict[str, Any], reason: str, idp: Provider, client: Client
) -> None:
    back = idp.sign_on(begin(client), SUBJECT)
    idp.tamper = lambda asked, answer: oidc.with_values(answer, **values) if asked == path else answer
    answer = client.get(back)
    if values == {"access_token": None}:
        assert answer.status_code == 302  # used only for claims that the token lacks
        return
    assert_refused(client, answer, reason)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b"\xff", b"x" * (network.LARGEST_ANSWER + 1)]
)
@pytest.mark.parametrize("path", ["/oauth2/token", "/jwks", "/.well-known/openid-configuration"])
def test_answer_that_is_no_json_object_is_refused(
    path: str, body: bytes, idp: Provider, client: Client
) -> None:
    def tamper(requested_path: str, answer: Any) -> Any:
        if requested_path == path:
            answer.set_data(body)
        return answer

    back = idp.sign_on(begin(client), SUBJECT)
    idp.tamper = tamper
    answer = client.get(back)
    assert answer.status_code == 302 and not is_logged_in(client)
    assert latest_event("user.sign_on_failed").data["reason"] in {"answer", "unreachable", "provider"}


def test_key_that_the_token_names_is_used(idp: Provider, client: Client) -> None:
    """The key that the token names is used.

    Providers publish the next key before they use it. Keys for encryption and shared secrets are never used.
    """
    other = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048).public_key()))

    def tamper(path: str, answer: Any) -> Any:
        if path == "/jwks":
            own = json.loads(answer.get_data())["keys"][0]
            return oidc.with_values(answer, keys=[{**other, "use": "enc"}, {"kty": "oct", "k": "eA"}, own])
        return answer

    idp.tamper = tamper
    assert sign_on(client, idp, SUBJECT).status_code == 302 and is_logged_in(client)
    client.logout()
    idp.tamper = lambda path, answer: oidc.with_values(answer, keys=[other]) if path == "/jwks" else answer
    answer = sign_on(client, idp, SUBJECT)
    assert answer.status_code == 302 and not is_logged_in(client)


def test_redirects_of_the_provider_are_not_followed(idp: Provider, client: Client) -> None:
    def tamper(path: str, answer: Any) -> Any:
        if path == "/jwks":
            answer.status_code = 302
            answer.headers["Location"] = f"{idp.issuer}/elsewhere"
        return answer

    idp.tamper = tamper
    assert_refused(client, sign_on(client, idp, SUBJECT), "answer")
    assert "/elsewhere" not in idp.requested_paths


def test_claims_about_another_subject_are_refused(idp: Provider, client: Client) -> None:
    idp.user(SUBJECT)
    idp.tamper = lambda path, answer: oidc.with_values(answer, sub="boss") if path == "/userinfo" else answer
    assert_refused(client, sign_on(client, idp, SUBJECT), "subject")


@pytest.mark.parametrize("subject", ["x" * 300, "a%00b", "%20%0a"])
def test_a_subject_that_cannot_be_stored_is_refused(subject: str, idp: Provider, client: Client) -> None:
    from urllib.parse import unquote

    assert_refused(client, sign_on(client, idp, unquote(subject)), "subject")


def test_state_is_valid_once_and_only_in_its_browser(idp: Provider, client: Client) -> None:
    back = idp.sign_on(begin(client), SUBJECT)
    stranger = Client()
    assert_refused(stranger, stranger.get(back), "state")
    assert client.get(back).status_code == 302 and is_logged_in(client)
    client.logout()
    assert_refused(client, client.get(back), "state")
    other = begin(client)
    wrong = back.split("state=")[0] + f"state={parse_qs(urlsplit(other).query)['state'][0]}"
    assert_refused(client, client.get(wrong), "provider")  # the code was used before


def test_a_code_of_another_browser_does_not_log_in(idp: Provider, client: Client) -> None:
    """PKCE: a person who intercepts a code does not have its verifier."""
    code = parse_qs(urlsplit(idp.sign_on(begin(Client()), SUBJECT)).query)["code"][0]
    state = parse_qs(urlsplit(begin(client)).query)["state"][0]
    answer = client.get(reverse("sign-on-callback"), {"code": code, "state": state})
    assert answer.status_code == 302 and not is_logged_in(client)
    assert latest_event("user.sign_on_failed").data["reason"] in {"provider", "nonce"}


def test_a_state_ends_after_ten_minutes(
    idp: Provider, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    back = idp.sign_on(begin(client), SUBJECT)
    now = time.time
    monkeypatch.setattr("allauth.socialaccount.internal.statekit.time.time", lambda: now() + 601)
    assert_refused(client, client.get(back), "state")


def test_callback_with_another_issuer_is_refused(idp: Provider, client: Client) -> None:
    back = idp.sign_on(begin(client), SUBJECT)
    assert_refused(client, client.get(f"{back}&iss=https://evil.example.com"), "issuer")
    back = idp.sign_on(begin(client), SUBJECT)
    assert client.get(f"{back}&iss={idp.issuer}").status_code == 302 and is_logged_in(client)


@pytest.mark.parametrize("error", ["server_error", "login_required", "<script>alert(1)</script>", "\0" * 20])
def test_error_text_of_the_provider_is_not_shown(error: str, idp: Provider, client: Client) -> None:
    state = parse_qs(urlsplit(begin(client)).query)["state"][0]
    answer = client.get(
        reverse("sign-on-callback"), {"error": error, "error_description": error, "state": state}
    )
    page = page_after(client, answer)
    assert "provider of single sign-on refused" in page and "<script>alert" not in page
    assert error not in str(latest_event("user.sign_on_failed").data)


def test_callbacks_with_invalid_parameters_redirect(client: Client) -> None:
    for query in (
        "",
        "code=x",
        "state=x",
        "state=%00&code=%00",
        "state=x&state=y",
        "error=access_denied",
        "_redir=",
    ):
        assert client.get(f"{reverse('sign-on-callback')}?{query}").status_code == 302, query
    assert client.post(reverse("sign-on-callback")).status_code == 405
    assert not Event.objects.filter(kind="user.logged_in").exists()


def test_sign_on_needs_a_csrf_token(idp: Provider) -> None:
    idp.requested_paths.clear()
    strict = Client(enforce_csrf_checks=True)
    for name in ("sign-on", "sign-on-link", "sign-on-confirm"):
        assert strict.post(reverse(name)).status_code == 403 and strict.get(reverse(name)).status_code in {
            302,
            405,
        }
    assert not idp.requested_paths


def test_sign_on_of_a_stranger_with_the_same_name_is_not_linked(
    idp: Provider, hana: User, client: Client
) -> None:
    """A sign-on that started as a login never links an identity, even if its parameters request it."""
    idp.user("thief", preferred_username="hana", email=hana.email)
    assert_refused(client, sign_on(client, idp, "thief", process="link", user=str(hana.pk)), "not_linked")
    assert SocialAccount.objects.get().uid == SUBJECT


def test_sign_on_begun_by_another_user_does_not_change_the_session(idp: Provider) -> None:
    """A person starts a sign-on on a shared computer and later sends its last address to the next user."""
    browser, kei = Client(), factories.UserFactory(username="kei")
    back, own = idp.sign_on(begin(browser), SUBJECT), begin(browser, next="/accounts/sessions/")
    browser.post(reverse("login"), {"username": "kei", "password": PASSWORD})
    answer = browser.get(back)
    assert browser.session["_auth_user_id"] == str(kei.pk)
    assert "Another user is logged in" in page_after(browser, answer)
    assert latest_event("user.sign_on_failed").data["reason"] == "logged_in"
    link_identity(kei, "kei-1", idp.issuer)
    key = browser.session.session_key
    assert browser.get(idp.sign_on(own, "kei-1"))["Location"] == "/accounts/sessions/"
    assert browser.session.session_key == key


def test_sign_on_changes_the_session_key(idp: Provider, client: Client) -> None:
    address = begin(client)
    before = client.session.session_key
    client.get(idp.sign_on(address, SUBJECT))
    assert is_logged_in(client) and client.session.session_key != before


def test_query_of_the_form_is_not_sent_to_the_provider(idp: Provider, client: Client) -> None:
    query = "?auth_params=prompt%3Dnone&scope=email,offline_access"
    page = client.post(reverse("sign-on") + query).content.decode()
    address = page.split("0;url=")[1].split('"')[0]
    assert "offline" not in address and "prompt" not in address


@pytest.mark.parametrize("path", ["/oauth2/token", "/jwks", "/.well-known/openid-configuration", "/userinfo"])
def test_deeply_nested_json_is_refused(path: str, idp: Provider, client: Client) -> None:
    idp.user(SUBJECT)
    back = idp.sign_on(begin(client), SUBJECT)

    def tamper(requested_path: str, answer: Any) -> Any:
        if requested_path == path:
            answer.set_data(b'{"a":' * 100_000)
        return answer

    idp.tamper = tamper
    assert_refused(client, client.get(back), "answer")


def test_log_contains_no_token(idp: Provider, client: Client, caplog: Any) -> None:
    token = "Abcdefgh1234ijklmnopqrst"

    def tamper(path: str, answer: Any) -> Any:
        if path == "/oauth2/token":
            answer.set_data(
                json.dumps({"error": "invalid_client", "refresh_token": token, "id_token": token * 3})
            )
        return answer

    idp.tamper = tamper
    assert_refused(client, sign_on(client, idp, SUBJECT), "provider")
    assert token not in caplog.text and "invalid_client" in caplog.text


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("process", ["sign-on", "sign-on-link"])
def test_concurrent_sign_ons_link_an_identity_to_one_user(process: str, idp: Provider, settings: Any) -> None:
    settings.OIDC_NEW_ACCOUNTS = True
    idp.user("new", preferred_username="kei")
    browsers = [Client() for _n in range(4)]
    if process == "sign-on-link":
        for browser in browsers:
            browser.force_login(factories.UserFactory())
    users = User.objects.count()
    addresses = [idp.sign_on(begin(browser, process), "new") for browser in browsers]

    def open_callback(browser: Client, address: str) -> None:
        try:
            browser.get(address)
        finally:
            connections.close_all()

    threads = [
        threading.Thread(target=open_callback, args=pair) for pair in zip(browsers, addresses, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert SocialAccount.objects.filter(uid="new").count() == 1
    if process == "sign-on":
        assert User.objects.count() == users + 1 and all(map(is_logged_in, browsers))
    else:
        assert Event.objects.filter(kind="user.sign_on_linked").count() == 1
        assert Event.objects.filter(kind="user.sign_on_failed").count() == 3


def test_no_view_of_allauth_has_an_address() -> None:
    def views_in(patterns: list[Any]) -> list[str]:
        names = []
        for pattern in patterns:
            inner = getattr(pattern, "url_patterns", None)
            names += views_in(inner) if inner is not None else [pattern.callback.__module__]
        return names

    assert not [name for name in views_in(get_resolver().url_patterns) if name.startswith("allauth")]


@pytest.mark.django_db(transaction=True)
def test_link_is_refused_if_the_session_ended_meanwhile(idp: Provider, hana: User, client: Client) -> None:
    """The owner of the account ends all sessions while a stranger's link waits for the provider."""
    client.force_login(hana)
    back = idp.sign_on(begin(client, "sign-on-link"), "thief")

    def tamper(path: str, answer: Any) -> Any:
        if path == "/oauth2/token":
            try:
                Session.objects.filter(user=hana).delete()
            finally:
                connections.close_all()
        return answer

    idp.tamper = tamper
    assert client.get(back).status_code in {302, 400}
    assert SocialAccount.objects.get().uid == SUBJECT
    assert latest_event("user.sign_on_failed").data["reason"] == "state"
