""" "A database that does not answer is reported: by a page to users, by an error code to programs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection
from django.test import Client

from mekiki.datasets.models import Dataset
from mekiki.web.errors import is_database_unreachable
from tests.factories import DatasetFactory, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def client() -> Client:
    """Return an admin's browser. Errors are answered, not raised."""
    client = Client(raise_request_exception=False, headers={"accept-language": "en"})
    client.force_login(UserFactory(is_superuser=True))
    return client


@pytest.fixture
def dataset(client: Client) -> Dataset:
    return DatasetFactory(slug="parts")


@pytest.fixture
def unreachable_database(dataset: Dataset, tmp_path: Path) -> Iterator[None]:
    """Replace the address of the database by one where no server listens."""
    before: Any = {name: connection.settings_dict[name] for name in ("HOST", "OPTIONS")}
    connection.close()
    options = {name: value for name, value in before["OPTIONS"].items() if name != "host"}
    connection.settings_dict.update(HOST=str(tmp_path), OPTIONS=options)
    yield
    connection.close()
    connection.settings_dict.update(before)


@pytest.mark.parametrize(
    ("language", "message"), [("en", "The database does not answer"), ("ja", "データベース")]
)
def test_page_reports_that_the_database_does_not_answer(
    client: Client, unreachable_database: None, language: str, message: str
) -> None:
    answer = client.get("/d/parts/", headers={"accept-language": language})
    assert (answer.status_code, answer["Retry-After"]) == (503, "3")
    assert message in answer.content.decode()


def test_api_reports_an_unreachable_database_by_a_code(client: Client, unreachable_database: None) -> None:
    url = "/api/v1/datasets/parts/review/next"
    answer = client.post(url, {"count": 1}, content_type="application/json")
    assert answer.status_code == 503
    assert answer.json()["code"] == "database_away"
    assert "is restarted automatically" in answer.json()["detail"]


def test_other_errors_have_the_usual_error_format(
    client: Client, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any, **_options: Any) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("mekiki.review.services.next_or_reason", fail)
    url = "/api/v1/datasets/parts/review/next"
    answer = client.post(url, {"count": 1}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (500, "failed")
    assert "a defect" not in answer.content.decode()


def test_statement_timeout_is_not_reported_as_a_missing_database() -> None:
    error = OperationalError("canceling statement due to statement timeout")
    error.__cause__ = psycopg.errors.QueryCanceled("x")
    assert not is_database_unreachable(error)
    error.__cause__ = psycopg.errors.AdminShutdown("x")
    assert is_database_unreachable(error)
