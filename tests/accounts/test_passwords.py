"""Rules for passwords, and what a user with a password set by an admin can do.

Such a user can only change the password.
"""

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import PermissionDenied, ValidationError
from django.test import Client
from django.urls import reverse

from mekiki.accounts import services
from mekiki.accounts.models import User
from mekiki.accounts.passwords import LONGEST, normalize
from mekiki.audit.models import Event
from tests import factories
from tests.accounts.test_doors import API_ITSELF, LOGGED_IN, PLATFORM_ADMIN, VIEWER, address, names, world
from tests.factories import PASSWORD

__all__ = ["world"]
pytestmark = pytest.mark.django_db
NEW = "four words of my own"


def test_long_passwords_of_any_characters_are_accepted() -> None:
    letters = "".join(chr(97 + (n * n * 7 + n // 3) % 26) for n in range(LONGEST))
    for password in (
        "correct horse battery staple", "wwwgguppisdkrlw", "ゆうひがきれいなまちにすむ",
        "𝔞 🦊 jumps over a 🐕!", letters[:64],
        letters,
    ):  # fmt: skip
        validate_password(password, User(username="hana"))


@pytest.mark.parametrize(
    "password",
    [
        "tiny2", "x" * 11, "eleven char", "q" * (LONGEST + 1), "aaaaaaaaaaaaaaaa", "abababababab",
        "123412341234",
        "abcdefghijklm", "qwertyuiopqwerty", "98765432109876", "password1234", "P@ssw0rd!2026",
        "Password!!!!!",
        "iloveyou202620", "Kensa20262026", "mekiki-2026-mekiki", "検査検査検査検査2026", "ﾊﾟｽﾜｰﾄﾞ1234567",
        "ｐａｓｓｗｏｒｄ１２３４",
        "Quality2026!!", "hinshitsukanri", "kojo.kensa.2026", "hana.tanaka.2026", "Hana-Tanaka-12",
        "weldseams2026",
        "Weld seams Hana", "renrenren2026!", "",
    ],
)  # fmt: skip
def test_short_common_and_local_passwords_are_refused(password: str) -> None:
    factories.UserFactory(username="ren")
    factories.DatasetFactory(name="Weld seams", slug="weld-seams")
    with pytest.raises(ValidationError) as refusal:
        validate_password(password, User(username="hana.tanaka"))
    assert password not in " ".join(refusal.value.messages) or not password


def test_the_same_letters_in_another_width_or_composition_are_one_password() -> None:
    user = factories.UserFactory(username="hana")
    services.reset_password(user=user, password="ｃａｆe\u0301 と 東京タワー ２階", actor=None)
    for typed in ("ｃａｆe\u0301 と 東京タワー ２階", "café と 東京タワー 2階"):
        assert authenticate(username="hana", password=typed) == user
    assert authenticate(username="hana", password="cafe と 東京タワー 2階") is None
    superuser = User.objects.create_superuser("boss", password="ｆｕｌｌ ｗｉｄｔｈ ｗｏｒｄｓ")
    assert authenticate(username="boss", password="full width words") == superuser
    assert normalize("ａ") == "a"


@pytest.fixture
def reset_client(world: dict) -> Client:
    """Log a viewer in whose password was set by an admin."""
    user = world["viewer"]
    services.reset_password(user=user, password=PASSWORD, actor=None)
    client = Client()
    assert (
        client.post("/accounts/login/", {"username": user.username, "password": PASSWORD}).status_code == 302
    )
    return client


def test_user_with_an_admins_password_can_only_change_it(reset_client: Client, world: dict) -> None:
    allowed = {"logout", "password-change"}
    for name in sorted((names(VIEWER) | PLATFORM_ADMIN | LOGGED_IN | API_ITSELF) - allowed):
        url = address(name, world)
        for answer in (
            reset_client.get(url),
            reset_client.post(url, {}, content_type="application/json"),
        ):
            if name.startswith("api:"):
                assert answer.status_code == 403 and answer.json()["code"] == "password_change_needed", name
            else:
                assert (answer.status_code, answer["Location"]) == (302, reverse("password-change")), name
    partial = reset_client.get("/", headers={"HX-Request": "true"})
    assert partial.status_code == 403 and partial["HX-Redirect"] == reverse("password-change")
    assert "An admin gave you this password" in reset_client.get(reverse("password-change")).content.decode()


def test_changing_an_admins_password_opens_all_pages(reset_client: Client, world: dict) -> None:
    page = reverse("password-change")
    same = reset_client.post(
        page, {"old_password": PASSWORD, "new_password1": PASSWORD, "new_password2": PASSWORD}
    )
    assert same.status_code == 422 and "present password" in same.content.decode()
    assert reset_client.get("/").status_code == 302
    assert (
        reset_client.post(
            page, {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
        ).status_code
        == 302
    )
    assert reset_client.get("/").status_code == 200
    assert not User.objects.get(pk=world["viewer"].pk).must_change_password


def test_password_set_by_an_admin_must_be_changed(client: Client) -> None:
    boss = factories.UserFactory(username="boss", is_superuser=True)
    client.force_login(boss)
    client.post(reverse("user-create"), {"name": "typed", "password": "typed by the admin"})
    client.post(reverse("user-create"), {"name": "made", "password": ""})
    client.post(reverse("user-password", args=[factories.UserFactory(username="reset").pk]))
    services.create_user(name="first", password="chosen by the first admin", is_admin=True)
    must_change = dict(User.objects.values_list("username", "must_change_password"))
    assert must_change == {"boss": False, "typed": True, "made": True, "reset": True, "first": False}


def test_only_an_admin_sets_passwords_and_creates_users() -> None:
    plain, other = factories.UserFactory(), factories.UserFactory()
    with pytest.raises(PermissionDenied):
        services.reset_password(user=other, password=NEW, actor=plain)
    with pytest.raises(PermissionDenied):
        services.change_password(user=other, password=NEW, actor=plain)
    for act in (
        lambda: services.create_user(name="new", password=NEW, actor=plain),
        lambda: services.set_active(user=other, active=False, actor=plain),
        lambda: services.set_may_create_datasets(user=other, allowed=True, actor=plain),
        lambda: services.set_admin(user=plain, is_admin=True, actor=plain),
    ):
        with pytest.raises(PermissionDenied):
            act()
    assert not Event.objects.exists()


def test_wrong_present_passwords_are_slowed_and_recorded(client: Client) -> None:
    user = factories.UserFactory(username="hana")
    client.force_login(user)
    fields = {"new_password1": NEW, "new_password2": NEW}
    for n in range(6):
        html = client.post(
            reverse("password-change"), {"old_password": f"guess {n}", **fields}
        ).content.decode()
    assert "Too many wrong passwords" in html
    failed = Event.objects.filter(kind="user.login_failed")
    assert failed.count() == 5 and set(failed.values_list("data__door", "actor_id")) == {
        ("password", user.pk)
    }
