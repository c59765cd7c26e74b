"""The life of a dataset for programs: the same services, roles and confirmations as the pages."""

from typing import Any

import pytest
from django.test import Client

from mekiki.audit.models import Event
from mekiki.datasets.models import Dataset
from tests.factories import DatasetFactory, UserFactory

pytestmark = pytest.mark.django_db
BASE, ARCHIVED = "/api/v1/datasets/parts", "/api/v1/archived-datasets"


class Caller:
    """A user who calls the API."""

    def __init__(self, user: Any) -> None:
        self.client = Client(headers={"accept-language": "en"})
        self.client.force_login(user)

    def call(self, method: str, address: str, body: Any = None) -> tuple[int, Any]:
        """Return status and body of the reply."""
        call = getattr(self.client, method)
        reply = call(address) if body is None else call(address, body, content_type="application/json")
        return reply.status_code, reply.json() if reply.content else None


def test_dataset_is_renamed_archived_restored_and_deleted() -> None:
    dataset = DatasetFactory(slug="parts", name="Parts", admin=(admin := UserFactory()))
    caller = Caller(admin)
    status, reply = caller.call("patch", BASE, {"name": " 部品 ", "description": "a\nb", "slug": "buhin"})
    assert status == 200 and (reply["name"], reply["description"], reply["slug"]) == ("部品", "a\nb", "buhin")
    assert caller.call("patch", f"{BASE}-x", {})[0] == 404
    assert caller.client.patch(BASE, {}, content_type="application/json")["location"].endswith("/buhin")
    base, archived = "/api/v1/datasets/buhin", f"{ARCHIVED}/buhin"
    status, reply = caller.call("post", f"{base}/archive")
    assert status == 200 and reply["archived_at"] and reply["deleted_at"] is None
    assert caller.call("post", f"{base}/archive")[0] == 404
    assert [row["slug"] for row in caller.call("get", ARCHIVED)[1]] == ["buhin"]
    assert caller.call("post", f"{archived}/restore")[1]["archived_at"] is None
    # A deletion needs the name.
    status, reply = caller.call("post", f"{base}/delete", {"name": "buhin"})
    assert status == 422 and reply["code"] == "name" and "Nothing was deleted" in reply["detail"]
    status, reply = caller.call("post", f"{base}/delete", {"name": "部品"})
    assert status == 200 and reply["deleted_at"] < reply["purged_after"]
    assert caller.call("post", f"{archived}/restore")[0] == 200
    caller.call("post", f"{base}/archive")
    assert caller.call("post", f"{archived}/delete", {"name": "部品"})[1]["deleted_at"]
    Dataset.objects.filter(pk=dataset.pk).update(purge_begun_at="2100-01-01T00:00:00Z")
    status, reply = caller.call("post", f"{archived}/restore")
    assert status == 422 and reply["code"] == "purged"
    kinds = set(Event.objects.filter(dataset_id=dataset.pk).values_list("kind", flat=True))
    assert {"dataset.settings_changed", "dataset.address_changed", "dataset.deleted"} <= kinds


@pytest.mark.parametrize("role", ["reviewer", "viewer", "stranger"])
def test_only_admins_change_a_dataset(role: str) -> None:
    user = UserFactory()
    dataset = DatasetFactory(
        slug="parts", name="Parts", admin=UserFactory(), **{role: user} if role != "stranger" else {}
    )
    caller = Caller(user)
    refused = 404 if role == "stranger" else 403
    for method, address, body in (
        ("patch", BASE, {"name": "x"}),
        ("post", f"{BASE}/archive", None),
        ("post", f"{BASE}/delete", {"name": "Parts"}),
    ):
        assert caller.call(method, address, body)[0] == refused
    dataset.refresh_from_db()
    assert dataset.name == "Parts" and dataset.archived_at is None
    Dataset.objects.filter(pk=dataset.pk).update(archived_at="2026-01-01T00:00:00Z")
    assert caller.call("get", ARCHIVED) == (200, [])
    for act, body in (("restore", None), ("delete", {"name": "Parts"})):
        assert caller.call("post", f"{ARCHIVED}/parts/{act}", body)[0] == 404
    assert Client().get(ARCHIVED).status_code == 401


def test_hostile_values_change_nothing() -> None:
    DatasetFactory(slug="taken")
    dataset = DatasetFactory(slug="parts", name="Parts", admin=(admin := UserFactory()))
    caller = Caller(admin)
    for body in (
        {"name": ""}, {"name": "  "}, {"name": "a\0b"}, {"name": "\ud800"}, {"name": "x" * 121}, {"name": 3},
        {"name": ["a"]}, {"description": "\0"}, {"slug": ""}, {"slug": "../x"}, {"slug": "taken"},
        {"slug": "x" * 300}, {"name": "good", "slug": "a b"},
    ):  # fmt: skip
        status, reply = caller.call("patch", BASE, body)
        assert status == 422 and reply["detail"], body
    for body in ({}, {"name": None}, {"name": "parts"}, {"name": "Parts\0"}, {"name": "x" * 2000}, []):
        assert caller.call("post", f"{BASE}/delete", body)[0] == 422, body
    assert caller.client.post(f"{BASE}/delete", "{", content_type="application/json").status_code == 400
    dataset.refresh_from_db()
    assert (dataset.name, dataset.slug, dataset.deleted_at) == ("Parts", "parts", None)
