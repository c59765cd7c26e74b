"""Quotas for programs: the API and `mekiki quota` use the same service as the pages."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core import signals
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.middleware.csrf import _get_new_csrf_string
from django.test import Client
from hypothesis import HealthCheck, given, settings

from mekiki.audit.models import Event
from mekiki.config.cli import run
from mekiki.datasets.models import Dataset, PlatformQuota
from tests.api.test_openapi import api_description
from tests.factories import DatasetFactory, UserFactory

pytestmark = pytest.mark.django_db

NO_LIMITS = {
    "images": {"used": 0, "limit": None, "left": None},
    "bytes": {"used": 0, "limit": None, "left": None},
}


@pytest.fixture
def dataset() -> Dataset:
    return DatasetFactory(slug="parts", admin=UserFactory(username="owner"))


def client_of(user: Any) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


@pytest.mark.parametrize("url", ["/api/v1/quota", "/api/v1/datasets/parts/quota"])
def test_platform_admin_reads_and_sets_limits(url: str, dataset: Dataset) -> None:
    client = client_of(UserFactory(is_superuser=True))
    assert client.get(url).json() == NO_LIMITS
    body = {"max_images": 10, "max_bytes": 1000}
    answer = client.put(url, body, content_type="application/json")
    assert answer.status_code == 200, answer.content
    assert answer.json() == {
        "images": {"used": 0, "limit": 10, "left": 10},
        "bytes": {"used": 0, "limit": 1000, "left": 1000},
    }
    event = Event.objects.get(kind__endswith=".limits_changed")
    assert event.data["after"] == body and event.actor_name
    body = {"max_images": None, "max_bytes": None}
    assert client.put(url, body, content_type="application/json").json() == NO_LIMITS


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"max_images": 0, "max_bytes": None},
        {"max_images": -1, "max_bytes": 1},
        {"max_images": 1},
        {"max_images": "many", "max_bytes": 1},
        {"max_images": 10**16, "max_bytes": 1},
    ],
)
def test_invalid_limits_are_refused(body: dict[str, Any], dataset: Dataset) -> None:
    client = client_of(UserFactory(is_superuser=True))
    for url in ("/api/v1/quota", "/api/v1/datasets/parts/quota"):
        answer = client.put(url, body, content_type="application/json")
        assert answer.status_code == 422 and answer.json()["detail"]
    assert not Event.objects.filter(kind__endswith=".limits_changed").exists()


def test_dataset_admin_reads_the_quota_but_cannot_change_it(dataset: Dataset) -> None:
    client = client_of(dataset.memberships.get().user)
    body = {"max_images": 10, "max_bytes": None}
    assert client.get("/api/v1/datasets/parts/quota").json() == NO_LIMITS
    assert (
        client.put("/api/v1/datasets/parts/quota", body, content_type="application/json").status_code == 403
    )
    assert client.get("/api/v1/quota").status_code == 403
    assert client.put("/api/v1/quota", body, content_type="application/json").status_code == 403


@pytest.fixture
def open_connection() -> Iterator[None]:
    """Keep the test's connection open in requests through WSGI, as Django's own client does."""
    signals.request_started.disconnect(close_old_connections)
    signals.request_finished.disconnect(close_old_connections)
    yield
    signals.request_started.connect(close_old_connections)
    signals.request_finished.connect(close_old_connections)


@pytest.mark.usefixtures("open_connection")
def test_every_response_conforms_to_the_api_description(dataset: Dataset) -> None:
    """schemathesis sends values that the description allows and values that it forbids."""
    import schemathesis  # takes a second, and every process of a parallel run imports this module

    client = client_of(UserFactory(is_superuser=True))
    token = _get_new_csrf_string()
    cookies = {
        django_settings.SESSION_COOKIE_NAME: client.cookies[django_settings.SESSION_COOKIE_NAME].value,
        django_settings.CSRF_COOKIE_NAME: token,
    }
    schema = schemathesis.openapi.from_dict(json.loads(api_description()))
    schema.app = get_wsgi_application()
    checked_operations = 0
    for result in schema.include(path_regex="quota$").get_all_operations():
        operation = result.ok()

        @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy())
        def check(case: schemathesis.Case) -> None:
            if "slug" in case.path_parameters:
                case.path_parameters["slug"] = "parts"
            case.call_and_validate(
                cookies=cookies, headers={"X-CSRFToken": token, "Referer": "http://localhost/"}
            )

        check()
        checked_operations += 1
    assert checked_operations == 4


def run_quota_command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    capsys.readouterr()
    status = run(["quota", *arguments])
    captured = capsys.readouterr()
    return status, captured.out + captured.err


def test_quota_command_shows_and_sets_limits(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    status, output = run_quota_command(capsys, "show")
    assert status == 0 and "no limit" in output
    status, output = run_quota_command(capsys, "set", "parts", "--images", "10", "--gb", "1.5", "--json")
    assert status == 0, output
    assert json.loads(output)["bytes"]["limit"] == 1_610_612_736
    assert run_quota_command(capsys, "set", "parts", "--images", "none")[0] == 0
    dataset.refresh_from_db()
    assert (dataset.max_images, dataset.max_bytes) == (None, 1_610_612_736)
    assert run_quota_command(capsys, "set", "--images", "7")[0] == 0
    assert PlatformQuota.objects.get().max_images == 7
    kinds = Event.objects.filter(kind__endswith=".limits_changed").values_list("kind", "actor_name")
    assert list(kinds) == [("dataset.limits_changed", "")] * 2 + [("site.limits_changed", "")]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["set", "parts"], 2, "Nothing was changed"),
        (["set", "--images", "0"], 2, "whole number from 1"),
        (["set", "--gb", "much"], 2, "no size in GB"),
        (["set", "--gb", "NaN"], 2, "no size in GB"),
        (["set", "nothing-here", "--images", "5"], 1, "no dataset"),
        (["show", "nothing-here"], 1, "no dataset"),
        (["set", "--gb", "1e30"], 1, "Nothing was changed"),
    ],
)
def test_quota_command_refuses_invalid_limits(
    arguments: list[str], status: int, message: str, dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_status, output = run_quota_command(capsys, *arguments)
    assert exit_status == status and message in output, output
    assert not Event.objects.filter(kind__endswith=".limits_changed").exists()
