"""User names: names that differ only in case or width are one account.

A name that only looks like another name is refused.
"""

import threading
from io import StringIO

import pytest
from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse

from mekiki.accounts import throttle
from mekiki.accounts.models import LoginTry, Membership, User
from mekiki.accounts.names import look_key, name_key
from mekiki.accounts.services import create_user
from mekiki.audit.services import record
from tests import factories
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db
LOGIN = "/accounts/login/"
CYRILLIC = "hаna"  # its first a is U+0430
GOOD = "long and unusual 7"


def log_in(name: str, password: str = PASSWORD, **more: str):
    return Client(headers={"accept-language": "en"}, **more).post(
        LOGIN, {"username": name, "password": password}
    )


def person(**fields) -> User:
    return factories.UserFactory(password=make_password(PASSWORD), **fields)


@pytest.fixture(autouse=True)
def _quick_passwords(settings) -> None:
    """Hash passwords quickly, because these tests log in a hundred times."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def boss_client() -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(person(username="boss", is_superuser=True))
    return client


@pytest.mark.parametrize(
    ("there", "asked"),
    [
        ("hana", "Hana"),
        ("hana", "HANA"),
        ("Hana", "ｈａｎａ"),
        ("hana", "hаnа"),  # both a are Cyrillic
        ("hana", CYRILLIC),
        ("ハナ", "ﾊﾅ"),
        ("lnet", "Inet"),
        ("山口", "山ロ"),  # a kanji, and katakana RO
        ("ren1", "renl"),
        ("morita", "rnorita"),
        ("STRASSE", "straße"),
    ],
)
def test_an_equal_or_confusable_name_is_refused_with_the_name_it_collides_with(
    boss_client: Client, there: str, asked: str
) -> None:
    person(username=there)
    answer = boss_client.post(reverse("user-create"), {"name": asked, "password": GOOD})
    assert answer.status_code == 422
    said = " ".join(answer.context["form"].errors["name"])
    assert there in said or "scripts" in said
    assert User.objects.count() == 2


@pytest.mark.parametrize(
    "name", ["花子", "はなこ", "ﾊﾅｺ", "Ｔａｎａｋａ", "山田taro", "Line3検査員", "Анна", "김민수"]
)
def test_japanese_and_other_names_work(boss_client: Client, name: str) -> None:
    answer = boss_client.post(reverse("user-create"), {"name": name, "password": GOOD})
    assert answer.status_code == 302
    assert log_in(name, GOOD).status_code == 302


@pytest.mark.parametrize("name", ["hаna", "αdmin", "ハнa", "김はな"])
def test_scripts_that_no_language_combines_are_refused(boss_client: Client, name: str) -> None:
    answer = boss_client.post(reverse("user-create"), {"name": name, "password": GOOD})
    assert answer.status_code == 422
    assert "scripts" in " ".join(answer.context["form"].errors["name"])


@pytest.mark.parametrize(
    "hostile",
    [
        "a\0b", "a\nb", "a\u200bb", "\u202eanah", "x" * 5000, "㍿" * 150, "#", "",
        # Hangul fillers are letters that show nothing.
        "boss\u3164", "boss\uffa0", "bo\u115fss", "\u1160", "김\u3164",
    ],
)  # fmt: skip
def test_hostile_names_are_refused_without_an_error_page(boss_client: Client, hostile: str) -> None:
    assert boss_client.post(reverse("user-create"), {"name": hostile, "password": GOOD}).status_code == 422
    assert log_in(hostile).status_code == 200
    assert User.objects.count() == 1


def test_a_name_in_another_case_or_width_logs_in_and_a_lookalike_does_not() -> None:
    user = person(username="Hana")
    for name in ("Hana", "hana", "HANA", "ｈａｎａ"):
        answer = log_in(name)
        assert answer.status_code == 302, name
        assert int(answer.client.session["_auth_user_id"]) == user.pk
    assert log_in(CYRILLIC).status_code == 200


def test_wrong_tries_count_for_the_account_and_not_for_lookalikes() -> None:
    person(username="hana")
    for name in ("hana", "HANA", "Hana", "ｈａｎａ", "hAna"):
        assert "Wait" not in log_in(name, "wrong").content.decode()
    assert "Wait" in log_in("haNA", "wrong").content.decode(), "variants of one name are no further tries"
    LoginTry.objects.all().delete()
    for _n in range(throttle.FREE_NEW + 1):
        log_in(CYRILLIC, "wrong")
    assert log_in("hana").status_code == 302, "tries for a lookalike do not lock the account"


def test_wrong_tries_from_one_address_are_bounded_whatever_the_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "FREE_ADDRESS", 12)
    for n in range(12):
        assert "Wait" not in log_in(f"guess{n}", f"wrong {n}").content.decode()
    assert "Wait" in log_in("another", "wrong").content.decode()
    person(username="ren")
    assert log_in("ren", REMOTE_ADDR="192.0.2.7").status_code == 302


def test_the_database_holds_the_rule() -> None:
    person(username="hana")
    for name in ("Hana", CYRILLIC):
        with pytest.raises(IntegrityError), transaction.atomic():
            person(username=name)
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.bulk_create([User(username="somebody")])


def test_commands_refuse_a_confusable_name(monkeypatch: pytest.MonkeyPatch) -> None:
    person(username="admin")
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", GOOD)
    for name in ("Admin", "аdmin"):
        with pytest.raises(CommandError):
            call_command("createsuperuser", interactive=False, username=name, email="", stderr=StringIO())
    assert User.objects.count() == 1
    with pytest.raises(CommandError, match="nobody"):
        call_command("import", factories.DatasetFactory(slug="parts").slug, "/nowhere", user="nobody")


def test_a_member_is_added_by_a_name_in_any_case() -> None:
    admin, hana = factories.UserFactory(), person(username="Hana")
    dataset = factories.DatasetFactory(admin=admin)
    client = Client()
    client.force_login(admin)
    address = reverse("members", args=[dataset.slug])
    assert client.post(address, {"name": CYRILLIC, "role": "viewer"}).status_code == 422
    assert client.post(address, {"name": "hana", "role": "viewer"}).status_code == 302
    assert Membership.objects.filter(user=hana, dataset=dataset).exists()


def test_a_renamed_user_keeps_keys_in_step() -> None:
    user = person(username="hana")
    user.username = "Ren"
    user.save(update_fields=["username"])
    user.refresh_from_db()
    assert user.name_key == "ren"
    person(username="hana")


def test_duplicates_of_an_older_version_keep_their_accounts_and_names_and_are_listed() -> None:
    spellings = ("hana", "Hana", CYRILLIC, "HANA", "ren")
    first: dict[str, str] = {}
    for number, name in enumerate(spellings):
        # As an older version left the keys of names that were not compared when they were created.
        keys = {"name_key": name_key(name), "look_key": look_key(name)}
        others = [first[key] for key in keys.values() if key in first]
        keys = {field: f"{key}#{number}" if key in first else key for field, key in keys.items()}
        User.objects.bulk_create([User(username=name, password=make_password(PASSWORD), **keys)])
        first |= dict.fromkeys(keys.values(), name)
        if others:
            record(kind="user.name_shared", data={"name": name, "other": others[0]})
    for name in spellings:
        answer = log_in(name)
        assert answer.status_code == 302
        assert User.objects.get(pk=answer.client.session["_auth_user_id"]).username == name
    shared = User.objects.get(username="HANA")
    assert shared.name_is_shared
    shared.save()
    client = Client(headers={"accept-language": "en"})
    client.force_login(person(username="boss", is_superuser=True))
    assert client.get(reverse("users")).content.decode().count("similar name") == 3
    assert "is like another user’s" in client.get(reverse("platform-activity")).content.decode()


@pytest.mark.django_db(transaction=True)
def test_two_admins_at_once_make_one_of_two_confusable_names() -> None:
    barrier, made = threading.Barrier(2), []

    def make(name: str) -> None:
        try:
            barrier.wait()
            create_user(name=name, password=GOOD)
            made.append(name)
        except ValidationError as problem:
            assert "username" in problem.message_dict
        finally:
            connection.close()

    threads = [threading.Thread(target=make, args=[name]) for name in ("hana", "HANA")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1 and User.objects.count() == 1
