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


def logged_in(user: User, *, address: str = "192.0.2.1", agent: str = FIREFOX) -> Client:
    client = Client(REMOTE_ADDR=address, HTTP_USER_AGENT=agent)
    answer = client.post("/accounts/login/", {"username": user.username, "password": PASSWORD})
    assert answer.status_code == 302
    return client


def is_in(client: Client, **headers: str) -> bool:
    return client.get("/accounts/me/", **headers).status_code == 200


def age(**columns: float) -> None:
    """Move these columns of every session into the past by some minutes."""
    changed = {name: F(name) - timedelta(minutes=minutes) for name, minutes in columns.items()}
    Session.objects.update(**changed)


@pytest.fixture
def hana() -> User:
    return factories.UserFactory(username="hana")


def test_the_table_holds_no_key_that_logs_in(hana: User) -> None:
    client = logged_in(hana)
    key = client.cookies[settings.SESSION_COOKIE_NAME].value
    row = Session.objects.get(user=hana)
    assert row.pk != key and key not in str(Session.objects.values().get())
    thief = Client()
    thief.cookies[settings.SESSION_COOKIE_NAME] = row.pk
    assert not is_in(thief) and is_in(client)


def test_an_unused_session_ends_and_a_used_one_goes_on(hana: User) -> None:
    client = logged_in(hana)
    for _n in range(4):
        age(used_at=settings.SESSION_IDLE_MINUTES - 1)
        assert is_in(client)
    age(used_at=settings.SESSION_IDLE_MINUTES + 1)
    assert not is_in(client)
    assert not is_in(client), "it stays ended"


def test_a_page_that_polls_by_itself_keeps_no_session_alive(hana: User) -> None:
    client = logged_in(hana)
    for minutes, idle in ((30, "5"), (settings.SESSION_IDLE_MINUTES - 1, "1800")):
        age(used_at=minutes)
        assert client.get("/accounts/me/", headers={"X-Mekiki-Idle": idle}).status_code == 200
    age(used_at=2)
    assert not is_in(client)


def test_a_reviewer_who_answers_is_never_logged_out_for_being_idle(hana: User) -> None:
    dataset = factories.DatasetFactory(slug="parts", reviewer=hana)
    client = logged_in(hana)
    for _n in range(3):
        age(used_at=settings.SESSION_IDLE_MINUTES - 1)
        url = reverse("api:review-next", args=[dataset.slug])
        assert client.post(url, {"count": 1}, content_type="application/json").status_code == 200
    assert is_in(client)


def test_a_program_whose_session_has_ended_is_told_so(hana: User) -> None:
    """The station keeps answers in the browser while it gets 401 (static/mekiki/js/review/outbox.js)."""
    dataset = factories.DatasetFactory(slug="parts", reviewer=hana)
    client = logged_in(hana)
    age(used_at=settings.SESSION_IDLE_MINUTES + 1)
    url = reverse("api:review-next", args=[dataset.slug])
    assert client.post(url, {"count": 1}, content_type="application/json").status_code == 401


def test_a_session_ends_by_age_though_it_is_used(hana: User) -> None:
    client = logged_in(hana)
    age(created_at=settings.SESSION_COOKIE_AGE / 60 - 1)
    assert is_in(client)
    session = client.session
    session["something"] = 1
    session.save()
    age(created_at=2)
    assert not is_in(client)


def test_a_clock_set_back_ends_no_session(hana: User) -> None:
    client = logged_in(hana)
    age(created_at=-300, used_at=-300)
    assert is_in(client)


def test_the_own_sessions_are_listed_and_ended(hana: User) -> None:
    here = logged_in(hana)
    other = logged_in(hana, address="198.51.100.7", agent="curl/8.5")
    third = logged_in(hana, address="203.0.113.5")
    stranger = logged_in(factories.UserFactory(username="ren"))
    html = here.get(reverse("sessions")).content.decode()
    for part in ("Firefox, Windows", "curl", "198.51.100.7", "203.0.113.5", "this browser"):
        assert part in html
    row = Session.objects.get(user=hana, address="198.51.100.7")
    here.post(reverse("sessions"), {"session": row.pk})
    assert (is_in(here), is_in(other), is_in(third)) == (True, False, True)
    theirs = Session.objects.get(user__username="ren")
    for value in (theirs.pk, "\0", "x" * 500):
        here.post(reverse("sessions"), {"session": value})
    assert is_in(stranger)
    here.post(reverse("sessions"))
    assert (is_in(here), is_in(third), is_in(stranger)) == (True, False, True)
    assert Event.objects.filter(kind="user.sessions_ended").count() == 2
    addresses = KnownPlace.objects.filter(user=hana, key__startswith="address:")
    assert [place.key for place in addresses] == ["address:192.0.2.1"]


def test_a_new_password_and_deactivation_end_sessions(hana: User) -> None:
    here, other = logged_in(hana), logged_in(hana)
    new = "quite another sentence"
    here.post("/accounts/password/", {"old_password": PASSWORD, "new_password1": new, "new_password2": new})
    assert is_in(here) and not is_in(other)
    kept = Session.objects.get(user=hana)
    assert kept.address == "192.0.2.1" and kept.agent == FIREFOX
    services.give_password(user=hana, password="a sentence of the admin", actor=None)
    assert not is_in(here) and not Session.objects.filter(user=hana).exists()
    hana.refresh_from_db()
    hana.set_password(PASSWORD)
    hana.must_change_password = False
    hana.save()
    again = logged_in(hana)
    services.set_active(user=hana, active=False, actor=None)
    assert not is_in(again) and not Session.objects.filter(user=hana).exists()


def test_logging_out_deletes_the_session_and_a_login_sweeps_ended_ones(hana: User) -> None:
    client = logged_in(hana)
    client.post(reverse("logout"))
    assert not Session.objects.filter(user=hana).exists()
    logged_in(hana)
    age(used_at=settings.SESSION_IDLE_MINUTES + 1)
    logged_in(hana)
    assert Session.objects.filter(user=hana).count() == 1


def test_a_login_changes_the_key_and_keeps_no_old_data(hana: User) -> None:
    client = logged_in(hana)
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
