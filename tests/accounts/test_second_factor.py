"""Two-step login: authenticator apps, recovery codes, stored values, and who may remove a factor."""

import re
import time
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from django.core.exceptions import PermissionDenied, ValidationError
from django.test import Client, override_settings

from mekiki.accounts.models import User
from mekiki.accounts.second_factor import sealing, selectors, services
from mekiki.audit.models import Event
from tests import factories
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db
LOGIN, STEP = "/accounts/login/", "/accounts/login/code/"
PAGE, APP = "/accounts/second-factor/", "/accounts/second-factor/app/"


class App:
    """An authenticator app with its own clock."""

    def __init__(self, secret: str) -> None:
        self.secret = secret

    def code(self, steps: int = 0) -> str:
        """Return the code that the app shows a number of 30-second steps from now."""
        return totp.format_hotp_value(totp.hotp_value(self.secret, int(time.time()) // 30 + steps))


@pytest.fixture
def hana() -> User:
    return factories.UserFactory(username="hana")


def set_up(user: User) -> tuple[App, list[str]]:
    """Set up an authenticator app for the user.

    Its first code belongs to the step before the current one, so the next codes are new.
    """
    app = App(totp.generate_totp_secret())
    return app, services.add_app(user=user, secret=app.secret, code=app.code(-1))


def first_step(client: Client, name: str = "hana", **more: str) -> Any:
    return client.post(LOGIN, {"username": name, "password": PASSWORD, **more})


def is_logged_in(client: Client) -> bool:
    return client.get("/accounts/me/").status_code == 200


def test_an_app_is_set_up_and_the_next_login_asks_for_its_code(hana: User) -> None:
    client = Client()
    client.force_login(hana)
    page = client.get(APP).content.decode()
    assert 'src="data:image/svg+xml;base64,' in page
    app = App(re.search(r"<code>([A-Z2-7 ]+)</code>", page).group(1).replace(" ", ""))
    wrong = client.post(APP, {"code": "000000"})
    assert wrong.status_code == 422 and not selectors.has_second_factor(hana)
    answer = client.post(APP, {"code": app.code(-1)})
    codes = re.findall(r"^ *(?:<pre[^>]*>)?(\d{5}-\d{5})$", answer.content.decode(), re.MULTILINE)
    assert len(codes) == 10 and "no-store" in answer["Cache-Control"]
    assert codes[0] not in client.get(PAGE).content.decode()

    other = Client()
    answer = first_step(other, next="/accounts/me/")
    assert answer["Location"] == STEP and not is_logged_in(other)
    assert other.post(STEP, {"code": "000000"}).status_code == 422 and not is_logged_in(other)
    assert other.post(STEP, {"code": app.code()})["Location"] == "/accounts/me/"
    assert is_logged_in(other)
    assert Event.objects.filter(kind="user.logged_in").latest("pk").data["methods"] == ["password", "app"]
    assert Event.objects.filter(kind="user.second_step_failed", object_id=str(hana.pk)).count() == 1


def test_login_without_a_second_factor_has_one_step(hana: User) -> None:
    client = Client()
    assert first_step(client)["Location"] == "/"
    assert is_logged_in(client)


def test_code_is_accepted_once(hana: User) -> None:
    app, _codes = set_up(hana)
    first, second = Client(), Client()
    first_step(first)
    first_step(second)
    code = app.code()
    assert first.post(STEP, {"code": code}).status_code == 302
    assert second.post(STEP, {"code": code}).status_code == 422 and not is_logged_in(second)
    # An older code of the app is refused too.
    assert services.use_code(user=hana, code=app.code(-1)) is None
    assert services.use_code(user=hana, code=app.code(1)) is not None
    assert services.use_code(user=hana, code=app.code(3)) is None


def test_codes_with_spaces_hyphens_and_wide_digits_are_accepted(hana: User) -> None:
    app, codes = set_up(hana)
    code = app.code()
    wide = f"{code[:3]} {code[3:]}".translate({ord(d): ord(d) - 48 + 0xFF10 for d in "0123456789"})
    assert services.use_code(user=hana, code=wide) is not None
    assert services.use_code(user=hana, code=f" {codes[0][:5]}-{codes[0][5:]} ") is not None
    for nonsense in ("", "   ", "²²²²²²", "\0", "x" * 500, "−1", "٠٠٠٠٠٠"):
        assert services.use_code(user=hana, code=nonsense) is None


def test_a_recovery_code_works_once_and_is_counted(hana: User) -> None:
    _app, codes = set_up(hana)
    client = Client()
    first_step(client)
    assert client.post(STEP, {"code": codes[3]}).status_code == 302
    assert Event.objects.get(kind="user.recovery_code_used").data == {"left": 9}
    assert Event.objects.filter(kind="user.logged_in").latest("pk").data["methods"] == [
        "password",
        "recovery_code",
    ]
    assert services.use_code(user=hana, code=codes[3]) is None
    assert "9 codes are left" in client.get(PAGE).content.decode()
    fresh = services.make_recovery_codes(user=hana)
    assert not set(fresh) & set(codes)
    assert services.use_code(user=hana, code=codes[4]) is None
    assert services.use_code(user=hana, code=fresh[0]) is not None


def test_wrong_codes_are_counted_across_logins_and_slowed(hana: User) -> None:
    app, _codes = set_up(hana)
    client = Client()
    for number in range(6):
        first_step(client)
        html = client.post(STEP, {"code": "000000"}).content.decode()
        assert ("Wait" in html) == (number == 5)
    elsewhere = Client(REMOTE_ADDR="192.0.2.7")
    first_step(elsewhere)
    assert "Wait" in elsewhere.post(STEP, {"code": app.code()}).content.decode()


def test_secrets_are_encrypted_and_unreadable_with_another_secret_key(hana: User) -> None:
    app, codes = set_up(hana)
    stored = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert app.secret not in stored and all(code not in stored for code in codes)
    client = Client()
    client.force_login(factories.UserFactory())
    client.get(APP)
    draft = client.session["second_factor_draft"]
    assert sealing.decrypt(draft) not in draft
    with override_settings(SECRET_KEY="quite another key"):
        assert services.use_code(user=hana, code=app.code()) is None
        assert services.use_code(user=hana, code=codes[0]) is None
        with pytest.raises(sealing.Unreadable):
            sealing.decrypt(draft)
    assert services.use_code(user=hana, code=app.code()) is not None


def test_login_between_steps_ends_by_new_password_or_deactivation(hana: User) -> None:
    app, _codes = set_up(hana)
    client = Client()
    first_step(client)
    hana.set_password("a quite different one")
    hana.save()
    assert client.post(STEP, {"code": app.code()})["Location"] == LOGIN and not is_logged_in(client)
    hana.set_password(PASSWORD)
    hana.save()
    first_step(client)
    User.objects.filter(pk=hana.pk).update(is_active=False)
    assert client.post(STEP, {"code": app.code()})["Location"] == LOGIN and not is_logged_in(client)


def test_the_second_step_opens_only_after_the_first() -> None:
    client = Client()
    assert client.get(STEP)["Location"] == LOGIN
    assert client.post(STEP, {"code": "123456"})["Location"] == LOGIN


def test_first_step_alone_opens_no_page(hana: User) -> None:
    set_up(hana)
    client = Client()
    first_step(client)
    for address in ("/", "/accounts/me/", PAGE, APP, "/activity/"):
        assert client.get(address)["Location"].startswith(LOGIN)
    assert client.get("/api/v1/jobs?dataset=x").status_code == 401


def test_only_the_owner_removes_a_factor(hana: User) -> None:
    set_up(hana)
    row = selectors.factors_of(hana).app
    assert row is not None
    stranger = Client()
    stranger.force_login(factories.UserFactory(is_superuser=True))
    assert stranger.post(f"{PAGE}{row.pk}/remove/").status_code == 404
    client = Client()
    client.force_login(hana)
    codes = selectors.factors_of(hana).codes
    assert codes is not None and client.post(f"{PAGE}{codes.pk}/remove/").status_code == 404
    assert client.post(f"{PAGE}{row.pk}/remove/").status_code == 302
    assert not Authenticator.objects.exists()  # the recovery codes are removed with it
    assert Event.objects.filter(kind="user.app_removed").count() == 1
    with pytest.raises(ValidationError):
        services.make_recovery_codes(user=hana)


def test_a_second_app_is_refused(hana: User) -> None:
    set_up(hana)
    with pytest.raises(ValidationError):
        set_up(hana)
    client = Client()
    client.force_login(hana)
    assert client.get(APP)["Location"] == PAGE


def test_lost_factors_are_reset_by_another_admin_only(hana: User) -> None:
    platform_admin = factories.UserFactory(username="boss", is_superuser=True)
    set_up(hana)
    for actor in (hana, factories.UserFactory(), factories.UserFactory(is_superuser=True, is_active=False)):
        with pytest.raises(PermissionDenied):
            services.reset(user=hana, actor=actor)
    with pytest.raises(ValidationError):
        services.reset(user=platform_admin, actor=platform_admin)
    assert services.reset(user=hana, actor=platform_admin) == 2
    assert services.reset(user=hana, actor=platform_admin) == 0
    event = Event.objects.get(kind="user.factors_reset")
    assert (event.actor_id, event.object_id, event.data["removed"]) == (platform_admin.pk, str(hana.pk), 2)
    client = Client()
    assert first_step(client)["Location"] == "/"


@pytest.fixture
def platform_admin() -> User:
    return factories.UserFactory(username="boss", is_superuser=True)


def test_only_an_admin_of_the_platform_with_a_factor_requires_it(platform_admin: User, hana: User) -> None:
    factories.DatasetFactory(admin=hana)
    set_up(hana)
    with pytest.raises(PermissionDenied):
        services.set_required(required=True, user=hana)
    with pytest.raises(ValidationError):
        services.set_required(required=True, user=platform_admin)
    assert not selectors.is_required_for_admins()
    set_up(platform_admin)
    services.set_required(required=True, user=platform_admin)
    services.set_required(required=True, user=platform_admin)
    assert Event.objects.filter(kind="site.second_factor_required").count() == 1


def open_to(client: Client, addresses: Any) -> list[str]:
    """Return the addresses that neither redirect to the page of second factors nor return the API's 403."""
    open_addresses = []
    for address in addresses:
        for answer in (client.get(address), client.post(address)):
            redirected = answer.status_code == 302 and answer["Location"] == PAGE
            refused = answer.status_code == 403 and b"second_factor_needed" in answer.content
            if not redirected and not refused:
                open_addresses.append(address)
    return sorted(set(open_addresses))


@pytest.mark.parametrize("role", ["platform", "dataset"])
def test_admins_without_a_required_factor_reach_only_its_setup(
    role: str, platform_admin: User, hana: User
) -> None:
    from tests.accounts.test_doors import every_address

    dataset = factories.DatasetFactory(slug="parts", admin=hana if role == "dataset" else None)
    factories.MembershipFactory(dataset=dataset, user=(other := factories.UserFactory()), role="reviewer")
    if role == "platform":
        User.objects.filter(pk=hana.pk).update(is_superuser=True)
    set_up(platform_admin)
    services.set_required(required=True, user=platform_admin)
    client = Client()
    first_step(client)
    written = Event.objects.count()
    values = {
        "slug": "parts",
        "job_id": "0" * 8 + "-0000-4000-8000-" + "0" * 12,
        "sha256": "0" * 64,
        "form": "csv",
        "provider_id": "x",
        "panel": "0" * 8 + "-0000-4000-8000-" + "0" * 12,
    }
    reached = {}
    for name, pattern in every_address().items():
        address = "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda m: str(values.get(m[1], 1)), pattern).strip("^$")
        if name not in {"logout", "api:openapi-json"} and open_to(client, [address]):
            reached[name] = address
    assert set(reached) == {
        "second-factor", "second-factor-app", "passkey-add", "recovery-codes", "password-change",
        "set_language", "set_theme", "healthz", "sign-on-confirm", "sign-on-callback",
    }  # fmt: skip
    assert Event.objects.count() == written
    page = client.get(PAGE)
    assert page.status_code == 200 and "every page opens again" in page.content.decode()
    # The rule does not apply to a reviewer. An admin who sets up a factor can continue at once.
    reviewer = Client()
    reviewer.force_login(other)
    assert reviewer.get("/").status_code == 200
    set_up(hana)
    assert client.get("/").status_code == 200
    row = selectors.factors_of(hana).app
    assert row is not None
    client.post(f"{PAGE}{row.pk}/remove/")
    assert selectors.has_second_factor(hana)  # the last factor stays while admins need one


def test_command_resets_the_factors_of_the_last_admin(platform_admin: User) -> None:
    from io import StringIO

    from django.core.management import CommandError, call_command

    set_up(platform_admin)
    services.set_required(required=True, user=platform_admin)
    output = StringIO()
    call_command("reset_second_factor", "ＢＯＳＳ", stdout=output)
    assert "boss" in output.getvalue() and not selectors.has_second_factor(platform_admin)
    event = Event.objects.get(kind="user.factors_reset")
    assert (event.actor_id, event.data["source"]) == (None, "command")
    call_command("reset_second_factor", "boss", stdout=output)
    assert "Nothing was changed" in output.getvalue()
    with pytest.raises(CommandError):
        call_command("reset_second_factor", "nobody", stdout=output)


def test_login_page_creates_no_session_before_a_passkey_is_used() -> None:
    from mekiki.accounts.models import Session

    client = Client(HTTP_HOST="localhost")
    page = client.get(LOGIN).content.decode()
    assert "data-passkey" in page
    assert client.get("/accounts/login/passkey/").status_code == 405
    assert not Session.objects.exists()
    answer = client.post("/accounts/login/passkey/", {"challenge": "1"})
    assert answer.status_code == 200 and answer.json()["publicKey"]["challenge"]
    assert "no-store" in answer["Cache-Control"]
    strict = Client(HTTP_HOST="localhost", enforce_csrf_checks=True)
    assert strict.post("/accounts/login/passkey/", {"challenge": "1"}).status_code == 403
    assert Session.objects.count() == 1


def test_passkey_that_is_the_only_way_to_log_in_cannot_be_removed() -> None:
    user = User(username="kei")
    user.set_unusable_password()
    user.save()
    first, second = (
        Authenticator.objects.create(user=user, type="webauthn", data={"alone": True, "name": name})
        for name in ("phone", "laptop")
    )
    services.remove(user=user, factor=second)
    with pytest.raises(ValidationError, match="only way to log in"):
        services.remove(user=user, factor=first)
    user.set_password(PASSWORD)
    user.save()
    services.remove(user=user, factor=first)


def test_deeply_nested_credential_is_refused(client: Client) -> None:
    answer = client.post("/accounts/login/passkey/", {"credential": "[" * 100_000})
    assert answer.status_code == 302 and answer["Location"] == LOGIN
