"""Sessions: keys are stored as digests.

A session ends by age, by idle time, with a new password and with deactivation.
"""

from datetime import timedelta

import pytest
from django.conf import settings
from django.db.models import F
from django.test import Client
from django.urls import reverse

from mekiki.accounts import services
from mekiki.accounts.models import KnownPlace, Session, User
from mekiki.accounts.sessions import browser_name
from mekiki.audit.models import Event
from tests import factories
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"


def logged_in_client(user: User, *, address: str = "192.0.2.1", agent: str = FIREFOX) -> Client:
    client = Client(REMOTE_ADDR=address, HTTP_USER_AGENT=agent)
    answer = client.post("/accounts/login/", {"username": user.username, "password": PASSWORD})
    assert answer.status_code == 302
    return client


def is_logged_in(client: Client, **headers: str) -> bool:
    return client.get("/accounts/me/", **headers).status_code == 200


def age_sessions(**columns: float) -> None:
    """Move these columns of every session into the past by some minutes."""
    changed = {name: F(name) - timedelta(minutes=minutes) for name, minutes in columns.items()}
    Session.objects.update(**changed)


@pytest.fixture
def hana() -> User:
    return factories.UserFactory(username="hana")


def test_table_of_sessions_holds_no_usable_key(hana: User) -> None:
    client = logged_in_client(hana)
    key = client.cookies[settings.SESSION_COOKIE_NAME].value
    row = Session.objects.get(user=hana)
    assert row.pk != key and key not in str(Session.objects.values().get())
    thief = Client()
    thief.cookies[settings.SESSION_COOKIE_NAME] = row.pk
    assert not is_logged_in(thief) and is_logged_in(client)


def test_unused_session_ends_and_used_session_continues(hana: User) -> None:
    client = logged_in_client(hana)
    for _n in range(4):
        age_sessions(used_at=settings.SESSION_IDLE_MINUTES - 1)
        assert is_logged_in(client)
    age_sessions(used_at=settings.SESSION_IDLE_MINUTES + 1)
    assert not is_logged_in(client)
    assert not is_logged_in(client), "it stays ended"


def test_polling_of_an_unused_page_does_not_extend_the_session(hana: User) -> None:
    client = logged_in_client(hana)
    for minutes, idle in ((30, "5"), (settings.SESSION_IDLE_MINUTES - 1, "1800")):
        age_sessions(used_at=minutes)
        assert client.get("/accounts/me/", headers={"X-Mekiki-Idle": idle}).status_code == 200
    age_sessions(used_at=2)
    assert not is_logged_in(client)


def test_request_of_the_review_api_extends_the_session(hana: User) -> None:
    dataset = factories.DatasetFactory(slug="parts", reviewer=hana)
    client = logged_in_client(hana)
    for _n in range(3):
        age_sessions(used_at=settings.SESSION_IDLE_MINUTES - 1)
        url = reverse("api:review-next", args=[dataset.slug])
        assert client.post(url, {"count": 1}, content_type="application/json").status_code == 200
    assert is_logged_in(client)


def test_api_answers_401_after_the_session_ended(hana: User) -> None:
    """The station keeps answers in the browser while it gets 401 (static/mekiki/js/review/outbox.js)."""
    dataset = factories.DatasetFactory(slug="parts", reviewer=hana)
    client = logged_in_client(hana)
    age_sessions(used_at=settings.SESSION_IDLE_MINUTES + 1)
    url = reverse("api:review-next", args=[dataset.slug])
    assert client.post(url, {"count": 1}, content_type="application/json").status_code == 401


def test_used_session_ends_by_age(hana: User) -> None:
    client = logged_in_client(hana)
    age_sessions(created_at=settings.SESSION_COOKIE_AGE / 60 - 1)
    assert is_logged_in(client)
    session = client.session
    session["something"] = 1
    session.save()
    age_sessions(created_at=2)
    assert not is_logged_in(client)


def test_clock_that_was_set_back_ends_no_session(hana: User) -> None:
    client = logged_in_client(hana)
    age_sessions(created_at=-300, used_at=-300)
    assert is_logged_in(client)


def test_the_own_sessions_are_listed_and_ended(hana: User) -> None:
    here = logged_in_client(hana)
    other = logged_in_client(hana, address="198.51.100.7", agent="curl/8.5")
    third = logged_in_client(hana, address="203.0.113.5")
    stranger = logged_in_client(factories.UserFactory(username="ren"))
    html = here.get(reverse("sessions")).content.decode()
    for part in ("Firefox, Windows", "curl", "198.51.100.7", "203.0.113.5", "this browser"):
        assert part in html
    row = Session.objects.get(user=hana, address="198.51.100.7")
    here.post(reverse("sessions"), {"session": row.pk})
    assert (is_logged_in(here), is_logged_in(other), is_logged_in(third)) == (True, False, True)
    session_of_stranger = Session.objects.get(user__username="ren")
    for value in (session_of_stranger.pk, "\0", "x" * 500):
        here.post(reverse("sessions"), {"session": value})
    assert is_logged_in(stranger)
    here.post(reverse("sessions"))
    assert (is_logged_in(here), is_logged_in(third), is_logged_in(stranger)) == (True, False, True)
    assert Event.objects.filter(kind="user.sessions_ended").count() == 2
    addresses = KnownPlace.objects.filter(user=hana, key__startswith="address:")
    assert [place.key for place in addresses] == ["address:192.0.2.1"]


def test_a_new_password_and_deactivation_end_sessions(hana: User) -> None:
    here, other = logged_in_client(hana), logged_in_client(hana)
    new = "quite another sentence"
    here.post("/accounts/password/", {"old_password": PASSWORD, "new_password1": new, "new_password2": new})
    assert is_logged_in(here) and not is_logged_in(other)
    session = Session.objects.get(user=hana)
    assert session.address == "192.0.2.1" and session.agent == FIREFOX
    services.reset_password(user=hana, password="a sentence of the admin", actor=None)
    assert not is_logged_in(here) and not Session.objects.filter(user=hana).exists()
    hana.refresh_from_db()
    hana.set_password(PASSWORD)
    hana.must_change_password = False
    hana.save()
    again = logged_in_client(hana)
    services.set_active(user=hana, active=False, actor=None)
    assert not is_logged_in(again) and not Session.objects.filter(user=hana).exists()


def test_logout_deletes_the_session_and_login_deletes_ended_sessions(hana: User) -> None:
    client = logged_in_client(hana)
    client.post(reverse("logout"))
    assert not Session.objects.filter(user=hana).exists()
    logged_in_client(hana)
    age_sessions(used_at=settings.SESSION_IDLE_MINUTES + 1)
    logged_in_client(hana)
    assert Session.objects.filter(user=hana).count() == 1


def test_login_changes_the_session_key(hana: User) -> None:
    client = logged_in_client(hana)
    first = client.cookies[settings.SESSION_COOKIE_NAME].value
    client.post("/accounts/logout/")
    client.post("/accounts/login/", {"username": "hana", "password": PASSWORD})
    assert client.cookies[settings.SESSION_COOKIE_NAME].value != first


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (FIREFOX, "Firefox, Windows"),
        ("Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari, iPad"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0", "Edge, Windows"),
        ("<script>", "<script>"),
        ("", ""),
    ],
)
def test_browsers_have_short_names(agent: str, name: str) -> None:
    assert browser_name(agent) == name
