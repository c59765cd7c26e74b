"""Protection of the login.

Guessing is slowed down by account, address and password. Nobody can lock another user out. Every attempt is
recorded.
"""

import threading
from datetime import timedelta

import pytest
from django.contrib.auth import authenticate, get_backends
from django.db import connection
from django.db.models import F
from django.test import Client, RequestFactory
from django.urls import reverse

from mekiki.accounts import logins, throttle
from mekiki.accounts.backends import SiteBackend
from mekiki.accounts.clients import DEVICE_COOKIE, client_of
from mekiki.accounts.models import KnownPlace, LoginTry, User
from mekiki.audit.models import Event
from tests import factories
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db
LOGIN = "/accounts/login/"
HOME, ATTACKER = "192.0.2.1", "198.51.100.7"


def log_in(name: str, password: str = PASSWORD, *, address: str = HOME, client: Client | None = None) -> str:
    """Return "in", "wait" or "wrong"."""
    client = client or Client()
    answer = client.post(LOGIN, {"username": name, "password": password}, REMOTE_ADDR=address)
    if answer.status_code == 302:
        return "in"
    return "wait" if "Too many wrong passwords" in answer.content.decode() else "wrong"


def guess(name: str, times: int, *, address: str = ATTACKER) -> list[str]:
    return [log_in(name, f"guess {n} of {name}", address=address) for n in range(times)]


def age_login_tries(seconds: float) -> None:
    LoginTry.objects.update(at=F("at") - timedelta(seconds=seconds))


def test_login_from_known_address_works_while_the_account_is_attacked() -> None:
    factories.UserFactory(username="hana")
    assert log_in("hana") == "in"
    assert guess("hana", 8)[-1] == "wait"
    assert log_in("hana", address=ATTACKER) == "wait"
    assert log_in("hana") == "in"


def test_login_by_known_browser_works_while_its_address_is_limited() -> None:
    factories.UserFactory(username="hana")
    browser = Client()
    assert log_in("hana", client=browser) == "in"
    browser.post(reverse("logout"))
    assert guess("hana", 12, address=HOME)[-1] == "wait"
    assert log_in("hana", address=HOME) == "wait"
    assert log_in("hana", client=browser) == "in"


def test_attack_from_many_addresses_is_slowed_but_known_addresses_are_not() -> None:
    factories.UserFactory(username="hana")
    log_in("hana")
    outcomes = [guess("hana", 1, address=f"203.0.113.{n}")[0] for n in range(throttle.FREE_ACCOUNT + 5)]
    assert outcomes.count("wrong") == throttle.FREE_ACCOUNT and outcomes[-1] == "wait"
    assert log_in("hana", address="203.0.113.250") == "wait"
    assert log_in("hana") == "in"


def test_one_address_that_tries_many_accounts_is_slowed() -> None:
    for n in range(4):
        factories.UserFactory(username=f"worker{n}")
    outcomes = [log_in(f"worker{n}", f"guess {n}", address=ATTACKER) for n in range(4)]
    outcomes += [log_in(f"nobody{n}", f"word {n}", address=ATTACKER) for n in range(throttle.FREE_ADDRESS)]
    assert outcomes.count("wrong") == throttle.FREE_ADDRESS and outcomes[-1] == "wait"
    # Refusals of changing user names create one event, not one for each name.
    assert Event.objects.filter(kind="user.login_slowed").count() == 1


@pytest.mark.parametrize("spread", [False, True])
def test_one_password_for_many_accounts_is_slowed(spread: bool) -> None:
    for n in range(12):
        factories.UserFactory(username=f"worker{n}")
    log_in("worker11")
    outcomes = [
        log_in(f"worker{n}", "Summer2026!", address=f"203.0.113.{n}" if spread else ATTACKER)
        for n in range(11)
    ]
    assert outcomes == ["wrong"] * throttle.FREE_SPRAY + ["wait"] * (11 - throttle.FREE_SPRAY)
    assert log_in("worker9", "another password", address="203.0.113.99") == "wrong"
    # A user with the right password can log in from a known address.
    user = User.objects.get(username="worker11")
    user.set_password("Summer2026!")
    user.save()
    assert log_in("worker11", "Summer2026!") == "in"


def test_waits_grow_and_tries_during_a_wait_are_not_counted() -> None:
    factories.UserFactory(username="hana")
    free = throttle.FREE_NEW
    assert guess("hana", free) == ["wrong"] * free
    assert guess("hana", 3) == ["wait"] * 3
    age_login_tries(throttle.FIRST_WAIT + 1)
    assert guess("hana", 2) == ["wrong", "wait"]
    age_login_tries(throttle.FIRST_WAIT + 1)
    assert guess("hana", 1) == ["wait"]
    age_login_tries(throttle.FIRST_WAIT)
    assert log_in("hana", address=ATTACKER) == "in"
    waits = [throttle.wait_seconds(n, free) for n in range(free - 1, free + 12)]
    assert waits[:3] == [0, throttle.FIRST_WAIT, 2 * throttle.FIRST_WAIT]
    assert waits[-1] == throttle.LONGEST_WAIT and waits == sorted(waits)


def test_failed_tries_of_one_day_stay_below_one_hundred() -> None:
    """NIST SP 800-63B allows at most 100 failed attempts in a row.

    Here they come from new addresses in one day.
    """
    seconds, tries = 0, throttle.FREE_ACCOUNT
    while (seconds := seconds + throttle.wait_seconds(tries, throttle.FREE_ACCOUNT)) < 24 * 3600:
        tries += 1
    assert tries <= 100


def test_clock_that_was_set_back_does_not_lengthen_waits() -> None:
    factories.UserFactory(username="hana")
    guess("hana", throttle.FREE_NEW + 1)
    LoginTry.objects.update(at=F("at") + timedelta(hours=5))
    assert log_in("hana", address=ATTACKER) == "wait"
    age_login_tries(throttle.FIRST_WAIT + 1)
    assert log_in("hana", address=ATTACKER) == "in"


@pytest.mark.django_db(transaction=True)
def test_tries_at_the_same_moment_are_all_counted() -> None:
    start = threading.Barrier(12)
    outcomes: list[str] = []

    def attempt(n: int) -> None:
        start.wait()
        request = RequestFactory().post(LOGIN, REMOTE_ADDR=f"203.0.113.{n % 2}")
        try:
            logins.check_login_allowed(name="hana", password=f"guess {n}", request=request)
            outcomes.append("noted")
        except logins.LoginSlowed:
            outcomes.append("wait")
        finally:
            connection.close()

    threads = [threading.Thread(target=attempt, args=(n,)) for n in range(14)][:12]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert outcomes.count("noted") == 2 * throttle.FREE_NEW


def test_logins_failures_and_logouts_are_events_with_address_and_browser() -> None:
    user = factories.UserFactory(username="hana")
    client = Client(HTTP_USER_AGENT="Firefox\x07 on a tablet " + "x" * 500)
    log_in("HANA", "wrong one", client=client)
    log_in("hana", client=client)
    client.post(reverse("logout"), REMOTE_ADDR=HOME)
    failed, entered, left = Event.objects.order_by("pk")
    assert [failed.kind, entered.kind, left.kind] == [
        "user.login_failed", "user.logged_in", "user.logged_out",
    ]  # fmt: skip
    assert failed.actor_id is None and failed.object_id == str(user.pk) and failed.data["name"] == "hana"
    assert (failed.data["reason"], failed.data["door"]) == ("wrong", "login")
    assert entered.actor_id == left.actor_id == user.pk
    for event in (failed, entered, left):
        assert event.data["address"] == HOME
        assert event.data["agent"].startswith("Firefox on a tablet") and len(event.data["agent"]) <= 300
        assert "wrong one" not in str(event.data)


def test_unknown_user_name_is_not_stored() -> None:
    """A user may type the password into the name field. It must not appear in the audit log or in a table."""
    secret = "my-real-password-77"
    for _n in range(throttle.FREE_NEW + 2):
        log_in(secret, "x")
    assert set(Event.objects.values_list("kind", flat=True)) == {"user.login_failed", "user.login_slowed"}
    assert Event.objects.filter(data__icontains=secret).count() == 0
    import hashlib

    plain = hashlib.sha256(secret.encode()).hexdigest()
    for row in LoginTry.objects.values():
        assert secret not in str(row) and plain[:20] not in str(row)


def test_device_cookie_is_set_by_the_server_and_valid_for_its_users() -> None:
    for name in ("hana", "ren"):
        factories.UserFactory(username=name)
    browser = Client()
    log_in("ren", client=browser, address=ATTACKER)
    cookie = browser.cookies[DEVICE_COOKIE]
    assert cookie["httponly"] and cookie["samesite"] == "Lax"
    # The browser of ren is not known for hana.
    browser.post(reverse("logout"))
    for n in range(throttle.FREE_NEW):
        log_in("hana", f"guess {n}", client=browser, address=ATTACKER)
    assert log_in("hana", client=browser, address=ATTACKER) == "wait"
    chosen = Client()
    chosen.cookies[DEVICE_COOKIE] = "A" * 43
    log_in("hana", client=chosen)
    assert chosen.cookies[DEVICE_COOKIE].value != "A" * 43
    # A shared tablet keeps its cookie and is known for both users.
    log_in("hana", client=browser)
    assert browser.cookies[DEVICE_COOKIE].value == cookie.value
    keys = KnownPlace.objects.filter(key__startswith="device:").values_list("user__username", "key")
    assert len(set(keys)) == 3 and len({key for _name, key in keys}) == 2


def test_one_network_of_ipv6_counts_as_one_address() -> None:
    networks = {
        client_of(RequestFactory().get("/", REMOTE_ADDR=address)).network
        for address in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "::ffff:192.0.2.1", "192.0.2.1")
    }
    assert networks == {"2001:db8:1:2::/64", "192.0.2.1"}


def test_only_one_backend_accepts_passwords() -> None:
    """A second backend that checks passwords would allow a login without these rules."""
    factories.UserFactory(username="hana")
    request = RequestFactory().post(LOGIN)
    accepting_backends = [
        backend
        for backend in get_backends()
        if backend.authenticate(request, username="hana", password=PASSWORD) is not None
    ]
    assert [type(backend) for backend in accepting_backends] == [SiteBackend]


def test_a_hostile_name_or_password_is_an_ordinary_failure() -> None:
    for name, password in (("\0", "\0"), ("x" * 5000, "y" * 500_000), ("'; --", "%")):
        assert log_in(name, password) in {"wrong", "wait"}
    assert not User.objects.exists()


def test_text_that_is_no_unicode_is_an_ordinary_failure() -> None:
    assert authenticate(username="\ud800", password="\ud800") is None
