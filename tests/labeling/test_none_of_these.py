"""A schema can offer one label that stands for "none of these"."""

import html
import json
import re
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from mekiki.audit.models import Event
from mekiki.labeling import services
from mekiki.labeling.models import Label
from mekiki.labeling.selectors import active_labels
from mekiki.review.selectors import training_labels
from tests.factories import DatasetFactory, UserFactory
from tests.labeling.test_labels_page import form_data
from tests.review_setup import Station

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> Any:
    return UserFactory()


@pytest.fixture
def dataset(admin: Any) -> Any:
    dataset = DatasetFactory(admin=admin, slug="parts")
    specs = [{"name": name, "prompts": [name]} for name in ("other", "good", "scratch")]
    specs[0]["is_none"] = True
    services.set_schema(dataset=dataset, labels=specs, user=admin)  # type: ignore[arg-type]
    return dataset


def marked(dataset: Any) -> list[str]:
    return list(active_labels(dataset).filter(is_none=True).values_list("name", flat=True))


def save(admin: Any, dataset: Any, *names: str) -> Any:
    """Save the form with the mark at the named labels."""
    client = Client(headers={"accept-language": "en"})
    client.force_login(admin)
    rows = []
    for label in active_labels(dataset):
        row = {"id": label.pk, "position": label.position, "name": label.name, "prompts": label.name}
        rows.append(row | ({"is_none": "on"} if label.name in names else {}))
    return client.post(reverse("labels", args=["parts"]), form_data(*rows))


def test_mark_is_set_moved_and_removed_on_the_labels_page(dataset: Any, admin: Any):
    assert marked(dataset) == ["other"]
    for names in (["scratch"], ["other"], [], ["good"]):
        assert save(admin, dataset, *names).status_code == 302
        assert marked(dataset) == names
    event = Event.objects.filter(kind="label.changed").order_by("pk").last()
    assert event is not None and event.data["to"] == {"is_none": True}


def test_two_marks_are_refused_and_nothing_is_saved(dataset: Any, admin: Any):
    reply = save(admin, dataset, "good", "scratch")
    assert reply.status_code == 422
    assert "At most one label can stand for “none of these”" in html.unescape(reply.content.decode())
    assert marked(dataset) == ["other"]
    with pytest.raises(ValidationError, match="At most one label"):
        services.update_label(label=dataset.labels.get(name="good"), user=admin, is_none=True)
    with pytest.raises(IntegrityError, match="one_none_of_these"), transaction.atomic():
        Label.objects.filter(name="good").update(is_none=True)


def test_schema_without_the_mark_keeps_it(dataset: Any, admin: Any):
    specs = [{"name": label.name, "prompts": ["new"], "id": label.pk} for label in active_labels(dataset)]
    services.set_schema(dataset=dataset, labels=specs, user=admin)  # type: ignore[arg-type]
    assert marked(dataset) == ["other"]


def test_restored_label_loses_the_mark_if_another_label_has_it(dataset: Any, admin: Any):
    other = dataset.labels.get(name="other")
    services.archive_label(label=other, user=admin, confirmed=True)
    services.update_label(label=dataset.labels.get(name="good"), user=admin, is_none=True)
    services.restore_label(label=other, user=admin)
    assert marked(dataset) == ["good"]
    services.archive_label(label=dataset.labels.get(name="good"), user=admin, confirmed=True)
    services.restore_label(label=dataset.labels.get(name="good"), user=admin)
    assert marked(dataset) == ["good"]


def test_station_shows_the_label_last_and_it_is_trained_like_any_other():
    station = Station(items=1)
    Label.objects.filter(pk=station.labels[0].pk).update(is_none=True)
    user = station.reviewer()
    client = Client()
    client.force_login(user)
    page = client.get(reverse("review", args=[station.dataset.slug])).content.decode()
    data = re.search(r'data-labels="([^"]*)"', page)
    assert data is not None
    labels = json.loads(html.unescape(data[1]))
    assert [(label["id"], label["none"]) for label in labels] == [
        (station.labels[1].pk, False),
        (station.labels[2].pk, False),
        (station.labels[0].pk, True),
    ]
    decision = station.answer(user, station.next(user)[0], "correct", label=station.labels[0])
    assert training_labels(station.dataset) == [(decision.image_id, station.labels[0].pk, decision.pk)]
