"""A label is merged, split or archived on a page that first states what changes. Answers stay as they are."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from mekiki.audit.models import Event
from mekiki.labeling import services
from mekiki.labeling.models import SchemaVersion
from mekiki.labeling.selectors import active_labels, current_prompt_set, prompts_of
from mekiki.review.models import ConfirmedLabel
from tests.factories import (
    CertificateFactory,
    ChampionFactory,
    ConfirmedLabelFactory,
    DatasetFactory,
    HeadFactory,
    PredictionFactory,
    QueueItemFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset() -> Any:
    """Create good, scratch and scrape; scrape has two answers, and one image waits with this prediction."""
    made = DatasetFactory(admin=UserFactory(username="admin"), slug="parts")
    names = ("good", "scratch", "scrape")
    specs: Any = [{"name": name, "prompts": [f"a photo of {name}"]} for name in names]
    services.set_schema(dataset=made, labels=specs, user=made.memberships.first().user)
    scrape = made.labels.get(name="scrape")
    for _ in range(2):
        ConfirmedLabelFactory(dataset=made, label=scrape)
    return made


def client_of(dataset: Any) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(dataset.memberships.first().user)
    return client


def test_merge_states_its_effects_and_keeps_answers_and_keys(dataset: Any) -> None:
    client, url = client_of(dataset), reverse("label-reorganise", args=["parts"])
    scratch, scrape = (dataset.labels.get(name=name) for name in ("scratch", "scrape"))
    certificate = CertificateFactory(dataset=dataset)
    champion = HeadFactory(dataset=dataset, prompt_set=current_prompt_set(dataset))
    ChampionFactory(head=champion)
    item = QueueItemFactory(dataset=dataset, head=champion)
    PredictionFactory(head=champion, image=item.image, label=scrape)
    page = client.get(url, {"label": scrape.pk}).content.decode()
    assert "2 answers" in page and "Merge “scrape” into" in page
    assert "1 image waits in the queue" in page and "1 certificate stops" in page
    user = dataset.memberships.first().user
    with pytest.raises(ValidationError, match="2 answers"):
        services.merge_label(label=scrape, into=scratch, user=user)
    keys = dict(active_labels(dataset).values_list("name", "position"))
    refused = client.post(url, {"label": scrape.pk, "act": "merge", "into": scrape.pk})
    assert refused.status_code == 422 and client.post(url, {"label": scrape.pk}).status_code == 422
    assert client.post(url, {"label": scrape.pk, "act": "merge", "into": scratch.pk}).status_code == 302
    assert dict(active_labels(dataset).values_list("name", "position")) == {
        name: keys[name] for name in ("good", "scratch")
    }
    texts = prompts_of(current_prompt_set(dataset))
    assert texts[scratch.pk] == ["a photo of scratch", "a photo of scrape"] and scrape.pk not in texts
    event = Event.objects.get(kind="label.merged")
    assert event.data == {"name": "scrape", "into": "scratch", "answers": 2, "audited": 0}
    assert ConfirmedLabel.objects.filter(label=scrape).count() == 2
    certificate.refresh_from_db()
    assert certificate.state not in ("freezing", "auditing", "accepted")
    assert SchemaVersion.objects.filter(dataset=dataset).count() == 2


def test_split_adds_labels_after_the_last_key(dataset: Any) -> None:
    client, url = client_of(dataset), reverse("label-reorganise", args=["parts"])
    scrape = dataset.labels.get(name="scrape")
    for names in ("deep scrape", "good\ndeep scrape", "deep\nDEEP"):
        assert client.post(url, {"label": scrape.pk, "act": "split", "names": names}).status_code == 422
    data = {"label": scrape.pk, "act": "split", "names": "deep scrape\r\n\r\nlight scrape\r\n"}
    assert client.post(url, data).status_code == 302
    assert list(active_labels(dataset).values_list("name", "position")) == [
        ("good", 1), ("scratch", 2), ("deep scrape", 4), ("light scrape", 5),
    ]  # fmt: skip
    assert Event.objects.get(kind="label.split").data["into"] == ["deep scrape", "light scrape"]
    data = {"label": dataset.labels.get(name="good").pk, "act": "archive"}
    assert client.post(url, data).status_code == 302 and active_labels(dataset).count() == 3
    restore = client.get(reverse("labels", args=["parts"])).content.decode()
    assert "It returns with 2 answers" in restore
