"""The page shell: language, appearance, error pages, health, policy."""

import re

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.test import Client

from mekiki.web.templatetags.shell import count, percent
from tests.factories import DatasetFactory, UserFactory

pytestmark = pytest.mark.django_db


def client_of(user, **kwargs) -> Client:
    client = Client(headers={"accept-language": "en"}, **kwargs)
    client.force_login(user)
    return client


def test_health_needs_no_login():
    response = Client().get("/healthz")
    assert response.status_code == 200
    assert response.json()["status"] == "ok"


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_health_reports_an_unreachable_database(monkeypatch, error):
    def fail(*args, **kwargs):
        raise error("gone")

    monkeypatch.setattr(connection, "cursor", fail)
    response = Client().get("/healthz")
    assert response.status_code == 503
    assert response.json()["status"] == "no database"


def test_metrics_are_visible_to_platform_admins_only():
    assert Client().get("/metrics").status_code == 302
    assert client_of(UserFactory()).get("/metrics").status_code == 403
    response = client_of(UserFactory(is_superuser=True)).get("/metrics")
    assert response.status_code == 200
    assert b"django_http_requests" in response.content


def test_the_language_switch_changes_the_page_and_the_account():
    user = UserFactory()
    client = client_of(user)
    assert '<html lang="en"' in client.get("/").content.decode()
    response = client.post("/language/", {"language": "ja", "next": "/"})
    assert response.status_code == 302 and response["location"] == "/"
    text = client.get("/").content.decode()
    assert '<html lang="ja"' in text
    assert "データセット" in text
    user.refresh_from_db()
    assert user.language == "ja"


@pytest.mark.parametrize("path", ["/language/", "/theme/"])
def test_switch_does_not_redirect_to_another_site(path):
    response = client_of(UserFactory()).post(
        path, {"language": "ja", "theme": "dark", "next": "https://elsewhere.example/"}
    )
    assert "elsewhere" not in response["location"]


def test_unknown_language_is_not_stored():
    user = UserFactory()
    client_of(user).post("/language/", {"language": "xx", "next": "/"})
    user.refresh_from_db()
    assert user.language == ""


def test_appearance_is_stored_and_can_be_reset_to_the_device():
    client = client_of(UserFactory())
    assert "data-theme" not in client.get("/").content.decode().split("<body")[0]
    client.post("/theme/", {"theme": "dark", "next": "/"})
    assert 'data-theme="dark"' in client.get("/").content.decode()
    client.post("/theme/", {"theme": "", "next": "/"})
    assert "data-theme=" not in client.get("/").content.decode().split("<body")[0]


def test_invalid_appearance_cookie_is_ignored():
    client = client_of(UserFactory())
    client.cookies["mekiki_theme"] = '"><script>'
    assert "data-theme=" not in client.get("/").content.decode().split("<body")[0]


def test_dataset_of_other_users_answers_404():
    response = client_of(UserFactory()).get(f"/d/{DatasetFactory().slug}/")
    assert response.status_code == 404
    assert "Page not found" in response.content.decode()


def test_forbidden_page_shows_the_reason():
    user = UserFactory()
    response = client_of(user).get("/metrics")
    assert response.status_code == 403
    assert "Only an admin of the platform can do this." in response.content.decode()


@pytest.mark.parametrize("template", ["400.html", "500.html", "403_csrf.html"])
def test_error_pages_need_no_database(template, django_assert_num_queries):
    from django.template.loader import get_template

    with django_assert_num_queries(0):
        text = get_template(template).render()
    assert "Mekiki" in text and "<h1>" in text


def test_form_without_csrf_token_is_answered_with_our_error_page():
    response = client_of(UserFactory(), enforce_csrf_checks=True).post("/theme/", {"theme": "dark"})
    assert response.status_code == 403
    assert "This form was too old" in response.content.decode()


def test_policy_allows_no_inline_code_and_pages_contain_none():
    user = UserFactory()
    dataset = DatasetFactory(admin=user)
    client = client_of(user)
    for address in ("/", f"/d/{dataset.slug}/", f"/d/{dataset.slug}/activity/", "/d/nothing/"):
        response = client.get(address)
        policy = response["content-security-policy"]
        assert "unsafe" not in policy and "default-src 'none'" in policy
        text = response.content.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), address
        assert not re.search(r"<style|\sstyle=|\son\w+=", text), address


def test_visible_sections_depend_on_the_role():
    reviewer, admin = UserFactory(), UserFactory()
    dataset = DatasetFactory(admin=admin, reviewer=reviewer)
    as_admin = client_of(admin).get(f"/d/{dataset.slug}/").content.decode()
    as_reviewer = client_of(reviewer).get(f"/d/{dataset.slug}/").content.decode()
    assert f'/d/{dataset.slug}/settings/"' in as_admin
    assert f'/d/{dataset.slug}/settings/"' not in as_reviewer
    assert f'href="/d/{dataset.slug}/" aria-current="page"' in as_reviewer


def test_the_switcher_lists_the_users_own_datasets_only():
    user = UserFactory()
    dataset = DatasetFactory(viewer=user, name="First")
    DatasetFactory(viewer=user, name="Second")
    DatasetFactory(name="Foreign")
    text = client_of(user).get(f"/d/{dataset.slug}/").content.decode()
    assert "Second" in text and "Foreign" not in text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "–"),
        (0.0, "0.0 %"),
        (1.0, "100.0 %"),
        (0.93421, "93.4 %"),
        (0.99999, "99.9 %"),
        (0.00001, "0.1 %"),
    ],
)
def test_percent_never_rounds_up_to_certainty(value, expected):
    assert percent(value) == expected


def test_count_groups_digits():
    assert count(1234567) == "1,234,567"
    assert count(None) == "–"
