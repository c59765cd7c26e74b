"""Requests that no browser sends: each gets a clear answer below 500, and nothing is written in part."""

import json
from typing import Any

import pytest
from django.test import Client

from tests.factories import DatasetFactory, ImageFactory, UserFactory

pytestmark = pytest.mark.django_db

HUGE = "9" * 40


@pytest.fixture
def admin_client_and_address(client: Client) -> Any:
    """Return (client of an admin, address of the dataset)."""
    user = UserFactory()
    dataset = DatasetFactory(slug="parts", admin=user)
    ImageFactory(dataset=dataset)
    client.force_login(user)
    return client, "/d/parts/"


@pytest.mark.parametrize("number", ["²", "١", HUGE, "9" * 5000, "-1", "1e3", "%00", ""])
@pytest.mark.parametrize(
    "page",
    [
        *("models/?heads=", "models/?runs=", "exports/?before=", "labels/?version=", "images/?after="),
        *("activity/?before=", "activity/?show=", "activity/?actor="),
    ],
)
def test_page_key_that_is_not_a_number_is_ignored(
    admin_client_and_address: Any, page: str, number: str
) -> None:
    client, base = admin_client_and_address
    assert client.get(base + page + number).status_code == 200


def test_invalid_page_key_of_import_problems_is_ignored(admin_client_and_address: Any) -> None:
    client, base = admin_client_and_address
    batch = client.post(f"{base}import/start").json()["batch"]
    for number in ("²", HUGE, "9" * 5000):
        assert client.get(f"{base}import/{batch}/?after={number}").status_code == 200


@pytest.mark.parametrize(
    "address",
    [
        *("images/%00/", "images/%00/thumb", "images/%00/display", "images/%00/original"),
        *(f"models/{HUGE}/", f"exports/{HUGE}/download/", f"import/{HUGE}/"),
    ],
)
def test_impossible_names_give_404(admin_client_and_address: Any, address: str) -> None:
    client, base = admin_client_and_address
    assert client.get(base + address).status_code == 404


def test_api_answers_404_for_a_slug_with_a_nul_character(admin_client_and_address: Any) -> None:
    client, _base = admin_client_and_address
    answer = client.get("/api/v1/jobs?dataset=parts%00")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("language", ["ja-aaaaaaaa", "de", "\0", "x" * 500])
def test_unsupported_language_is_not_stored(client: Client, language: str) -> None:
    user = UserFactory(language="ja")
    client.force_login(user)
    assert client.post("/language/", {"language": language}).status_code == 302
    user.refresh_from_db()
    assert user.language == "ja"
    client.post("/language/", {"language": "en"})
    user.refresh_from_db()
    assert user.language == "en"


def test_unknown_session_key_is_not_logged_in(client: Client) -> None:
    client.cookies["sessionid"] = "a" * 20 + "\0"
    assert client.get("/").status_code == 302


@pytest.mark.parametrize("refused", ['[{"name": "a", "size": Infinity}]', "[" * 100_000, "{}", "[1]", "null"])
def test_invalid_list_of_refused_files_is_ignored(admin_client_and_address: Any, refused: str) -> None:
    client, base = admin_client_and_address
    address = client.post(f"{base}import/start").json()["files"]
    answer = client.post(f"{address}?part=0", {"complete": "1", "refused": refused})
    assert (answer.status_code, json.loads(answer.content)) == (200, {"taken": 0})
