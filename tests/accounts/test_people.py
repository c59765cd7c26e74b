"""Logging in, a user's own account, users and members over HTTP, and the last admin under concurrency."""

import threading

import pytest
from django.contrib.auth import authenticate
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection
from django.test import Client
from django.urls import reverse

from mekiki.accounts import services, throttle
from mekiki.accounts.models import LoginTry, Membership, Role, User
from mekiki.audit.models import Event
from tests import factories
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db
LOGIN = "/accounts/login/"


def log_in(client: Client, name: str, password: str = PASSWORD, **more: str):
    return client.post(LOGIN, {"username": name, "password": password, **more})


def test_login_redirects_to_pages_of_this_site_only(client: Client) -> None:
    factories.UserFactory(username="hana")
    answer = client.get("/accounts/me/")
    assert answer.status_code == 302 and answer["Location"] == "/accounts/login/?next=/accounts/me/"
    assert log_in(client, "hana", next="/accounts/me/")["Location"] == "/accounts/me/"
    assert Event.objects.filter(kind="user.logged_in").count() == 1
    client.post(reverse("logout"))
    assert client.get("/accounts/me/").status_code == 302
    assert log_in(client, "hana", next="https://evil.example/")["Location"] == "/"


def test_logging_out_needs_a_post(client: Client) -> None:
    client.force_login(factories.UserFactory())
    assert client.get(reverse("logout")).status_code == 405
    assert client.get("/accounts/me/").status_code == 200


def test_successful_login_deletes_failed_tries(client: Client) -> None:
    factories.UserFactory(username="hana")
    for _n in range(throttle.FREE_NEW - 1):
        log_in(client, "hana", "wrong")
    assert log_in(client, "hana").status_code == 302
    assert not LoginTry.objects.exists()


def test_unknown_and_known_names_get_the_same_answer(client: Client) -> None:
    factories.UserFactory(username="hana")

    def error_for(name: str) -> str:
        html = log_in(client, name, "wrong").content.decode()
        return html.split('role="alert"')[1].split("</div>")[0]

    assert error_for("hana") == error_for("nobody")


def test_a_password_is_changed_and_other_sessions_end() -> None:
    user = factories.UserFactory(username="hana")
    here, elsewhere = Client(), Client()
    here.force_login(user)
    elsewhere.force_login(user)
    new = "a quite different one"
    page = "/accounts/password/"
    bad = {"old_password": PASSWORD, "new_password1": "short", "new_password2": "short"}
    assert here.post(page, bad).status_code == 422
    good = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert here.post(page, {**good, "old_password": "wrong"}).status_code == 422
    assert here.post(page, good).status_code == 302
    assert here.get("/accounts/me/").status_code == 200
    assert elsewhere.get("/accounts/me/").status_code == 302
    assert authenticate(username="hana", password=new) == user
    assert Event.objects.get(kind="user.password_changed").actor_id == user.pk


def test_pages_are_in_the_language_of_the_user_in_any_browser() -> None:
    user = factories.UserFactory(language="ja")
    client = Client(HTTP_ACCEPT_LANGUAGE="en")
    client.force_login(user)
    assert '<html lang="ja"' in client.get("/accounts/me/").content.decode()
    client.post(reverse("set_language"), {"language": "en", "next": "/accounts/me/"})
    other = Client(HTTP_ACCEPT_LANGUAGE="ja")
    other.force_login(user)
    assert '<html lang="en"' in other.get("/accounts/me/").content.decode()
    answer = client.post(reverse("set_language"), {"language": "ja", "next": "https://evil.example/"})
    assert "evil" not in answer["Location"]


@pytest.fixture
def platform_admin() -> User:
    return factories.UserFactory(username="boss", is_superuser=True)


def test_admin_creates_a_user_with_a_generated_password(platform_admin: User, client: Client) -> None:
    client.force_login(platform_admin)
    answer = client.post(reverse("user-create"), {"name": "hana", "password": "", "language": "ja"})
    html = answer.content.decode()
    password = html.split("data-password>")[1].split("<")[0]
    user = authenticate(username="hana", password=password)
    assert isinstance(user, User) and (user.language, user.is_superuser) == ("ja", False)
    assert "no-store" in answer["Cache-Control"]
    assert Event.objects.get(kind="user.created").actor_id == platform_admin.pk
    assert password not in str(Event.objects.get(kind="user.created").data)
    assert password not in client.get(reverse("users")).content.decode()


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"name": "boss", "password": "long and unusual 7"}, "name"),
        ({"name": "a b", "password": "long and unusual 7"}, "name"),
        ({"name": "", "password": "long and unusual 7"}, "name"),
        ({"name": "x" * 151, "password": "long and unusual 7"}, "name"),
        ({"name": "hana", "password": "short"}, "password"),
        ({"name": "hana", "password": "password1234"}, "password"),
        ({"name": "hanako.tanaka", "password": "hanako.tanaka"}, "password"),
    ],
)
def test_bad_names_and_weak_passwords_are_refused(
    platform_admin: User, client: Client, form: dict[str, str], field: str
) -> None:
    client.force_login(platform_admin)
    answer = client.post(reverse("user-create"), form)
    assert answer.status_code == 422 and field in answer.context["form"].errors
    assert User.objects.count() == 1
    assert "long and unusual" not in answer.content.decode()


def test_deactivated_user_is_logged_out_at_once(platform_admin: User, client: Client) -> None:
    user = factories.UserFactory(username="hana")
    client_of_user = Client()
    client_of_user.force_login(user)
    client.force_login(platform_admin)
    client.post(reverse("user-active", args=[user.pk]), {"active": "0"})
    assert client_of_user.get("/accounts/me/").status_code == 302
    assert log_in(Client(), "hana").status_code == 200
    client.post(reverse("user-active", args=[user.pk]), {"active": "1"})
    assert log_in(Client(), "hana").status_code == 302
    assert set(Event.objects.values_list("kind", flat=True)) >= {"user.deactivated", "user.reactivated"}


def test_datasets_that_lose_their_last_admin_are_named(platform_admin: User, client: Client) -> None:
    """A user who leaves must be locked out at once, so the deactivation is not refused.

    Admins of the platform can help.
    """
    hana, mika = factories.UserFactory(username="hana"), factories.UserFactory(username="mika")
    for name, others in (("Alone", {}), ("Shared", {mika: Role.ADMIN}), ("Reviewed", {mika: Role.REVIEWER})):
        dataset = factories.DatasetFactory(name=name)
        for user, role in {hana: Role.ADMIN, **others}.items():
            services.set_role(dataset=dataset, user=user, role=role, actor=None)
    client.force_login(platform_admin)
    page = client.post(reverse("user-active", args=[hana.pk]), {"active": "0"}, follow=True).content.decode()
    assert "hana is logged out" in page
    assert "no active admin now: Alone, Reviewed" in page
    hana.refresh_from_db()
    assert not hana.is_active
    # The second admin of the shared dataset is the last one now.
    page = client.post(reverse("user-active", args=[mika.pk]), {"active": "0"}, follow=True).content.decode()
    assert "no active admin now: Shared" in page
    page = client.post(reverse("user-active", args=[hana.pk]), {"active": "1"}, follow=True).content.decode()
    assert "no active admin" not in page


def test_last_admin_of_the_platform_cannot_be_deactivated(platform_admin: User, client: Client) -> None:
    client.force_login(platform_admin)
    client.post(reverse("user-active", args=[platform_admin.pk]), {"active": "0"})
    platform_admin.refresh_from_db()
    assert platform_admin.is_active
    with pytest.raises(ValidationError):
        services.set_active(user=platform_admin, active=False, actor=None)


def test_a_reset_password_is_shown_once_and_ends_sessions(platform_admin: User, client: Client) -> None:
    user = factories.UserFactory(username="hana")
    client_of_user = Client()
    client_of_user.force_login(user)
    client.force_login(platform_admin)
    html = client.post(reverse("user-password", args=[user.pk])).content.decode()
    password = html.split("data-password>")[1].split("<")[0]
    assert client_of_user.get("/accounts/me/").status_code == 302
    assert authenticate(username="hana", password=password) == user
    assert authenticate(username="hana", password=PASSWORD) is None


def test_right_to_create_datasets_is_given_and_withdrawn(platform_admin: User, client: Client) -> None:
    user = factories.UserFactory()
    client.force_login(platform_admin)
    for value, expected in (("1", True), ("0", False)):
        client.post(reverse("user-may-create", args=[user.pk]), {"allowed": value})
        user.refresh_from_db()
        assert user.may_create_datasets is expected


def test_users_are_listed_page_by_page_and_searched(platform_admin: User, client: Client) -> None:
    for number in range(60):
        factories.UserFactory(username=f"person{number:02}")
    client.force_login(platform_admin)
    first = client.get(reverse("users")).content.decode()
    assert "person10" in first and "person59" not in first and "after=person48" in first
    assert "person59" in client.get(reverse("users") + "?after=person48").content.decode()
    matches = client.get(reverse("users") + "?q=ON07").content.decode()
    assert "person07" in matches and "person08" not in matches
    assert client.get(reverse("users") + "?q=%00&after=%00").status_code == 200


def test_members_are_added_changed_and_removed(client: Client) -> None:
    admin, hana = factories.UserFactory(), factories.UserFactory(username="hana")
    dataset = factories.DatasetFactory(admin=admin)
    page = reverse("members", args=[dataset.slug])
    client.force_login(admin)
    assert client.post(page, {"name": "nobody", "role": "reviewer"}).status_code == 422
    assert client.post(page, {"name": "hana", "role": "emperor"}).status_code == 422
    assert client.post(page, {"name": "hana", "role": "reviewer"}).status_code == 302
    assert client.post(page, {"name": "hana", "role": "viewer"}).status_code == 422
    assert "hana" in client.get(page).content.decode()
    client.post(reverse("member-role", args=[dataset.slug, hana.pk]), {"role": "viewer"})
    assert Membership.objects.get(user=hana).role == Role.VIEWER
    client.post(reverse("member-remove", args=[dataset.slug, hana.pk]))
    assert not Membership.objects.filter(user=hana).exists()
    assert client.post(reverse("member-remove", args=[dataset.slug, hana.pk])).status_code == 404
    kinds = list(Event.objects.filter(dataset_id=dataset.pk).order_by("pk").values_list("kind", flat=True))
    assert kinds == ["member.role_set", "member.role_set", "member.removed"]


def test_last_admin_of_a_dataset_cannot_be_removed(client: Client) -> None:
    admin = factories.UserFactory()
    dataset = factories.DatasetFactory(admin=admin)
    client.force_login(admin)
    for name, data in (("member-role", {"role": "viewer"}), ("member-remove", {})):
        answer = client.post(reverse(name, args=[dataset.slug, admin.pk]), data, follow=True)
        assert "at least one admin" in answer.content.decode()
    assert Membership.objects.get(user=admin).role == Role.ADMIN
    # A deactivated admin does not count as an admin.
    inactive_user = factories.UserFactory(is_active=False)
    factories.MembershipFactory(dataset=dataset, user=inactive_user, role=Role.ADMIN)
    with pytest.raises(ValidationError):
        services.remove_member(dataset=dataset, user=admin, actor=admin)


@pytest.mark.django_db(transaction=True)
def test_concurrent_demotions_keep_one_admin_of_a_dataset() -> None:
    for _round in range(5):
        one, two = factories.UserFactory(), factories.UserFactory()
        dataset = factories.DatasetFactory(admin=one)
        factories.MembershipFactory(dataset=dataset, user=two, role=Role.ADMIN)
        start = threading.Barrier(2)
        outcomes: list[str] = []

        def demote(actor: User, other: User, dataset=dataset, start=start, outcomes=outcomes) -> None:
            start.wait()
            try:
                services.set_role(dataset=dataset, user=other, role=Role.VIEWER, actor=actor)
                outcomes.append("done")
            except (ValidationError, PermissionDenied):
                outcomes.append("refused")
            finally:
                connection.close()

        threads = [threading.Thread(target=demote, args=pair) for pair in ((one, two), (two, one))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert sorted(outcomes) == ["done", "refused"]
        assert Membership.objects.filter(dataset=dataset, role=Role.ADMIN).count() == 1


@pytest.mark.django_db(transaction=True)
def test_concurrent_role_changes_leave_one_membership() -> None:
    admin, user = factories.UserFactory(), factories.UserFactory()
    dataset = factories.DatasetFactory(admin=admin)
    start = threading.Barrier(4)

    def give(role: str) -> None:
        start.wait()
        try:
            services.set_role(dataset=dataset, user=user, role=role, actor=admin)
        finally:
            connection.close()

    threads = [threading.Thread(target=give, args=(r,)) for r in ("viewer", "reviewer", "admin", "viewer")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert Membership.objects.filter(dataset=dataset, user=user).count() == 1
    assert Event.objects.filter(kind="member.role_set", dataset_id=dataset.pk).count() == 4
