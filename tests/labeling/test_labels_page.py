"""The labels page: one form for everything, read-only for users who may not change it."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from mekiki.jobs.models import Job
from mekiki.labeling import services
from mekiki.labeling.models import Label
from mekiki.labeling.selectors import active_labels, current_prompt_set, prompts_of
from mekiki.learning.models import LongPrompt
from tests.factories import ChampionFactory, DatasetFactory, EncoderFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def people() -> dict[str, Any]:
    return {name: UserFactory(username=name) for name in ("admin", "reviewer", "viewer", "stranger")}


@pytest.fixture
def dataset(people: dict[str, Any]) -> Any:
    return DatasetFactory(
        admin=people["admin"], reviewer=people["reviewer"], viewer=people["viewer"], slug="parts"
    )


def client_of(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def form_data(*rows: dict[str, Any]) -> dict[str, str]:
    """Return the form data that the browser sends for these rows."""
    fields = {"labels-TOTAL_FORMS": str(len(rows)), "labels-INITIAL_FORMS": str(len(rows))}
    for number, row in enumerate(rows):
        for key, value in row.items():
            fields[f"labels-{number}-{key}"] = str(value)
    return fields


def test_admin_writes_labels_and_prompts(dataset: Any, people: dict[str, Any]) -> None:
    client, url = client_of(people["admin"]), reverse("labels", args=["parts"])
    page = client.get(url)
    assert page.status_code == 200 and b'name="labels-0-name"' in page.content
    reply = client.post(
        url,
        form_data(
            {"position": 2, "name": "good", "prompts": "a good part\r\n良品の写真\r\n"},
            {
                "position": 1,
                "name": "傷",
                "prompts": "a scratch",
                "critical": "on",
                "guideline": "any length",
            },
            {"position": 3, "name": "", "prompts": ""},
        ),
    )
    assert reply.status_code == 302
    labels = list(active_labels(dataset))
    assert [(x.name, x.critical, x.guideline) for x in labels] == [
        ("傷", True, "any length"),
        ("good", False, ""),
    ]
    assert prompts_of(current_prompt_set(dataset))[labels[1].pk] == ["a good part", "良品の写真"]
    page = client.get(url + "?version=1")
    assert "良品の写真" in page.content.decode()
    # Renaming by the row's id keeps the label. Removing the row archives it.
    reply = client.post(
        url,
        form_data(
            {"id": labels[0].pk, "position": 1, "name": "scratch", "prompts": "a scratch"},
            {"id": labels[1].pk, "position": 2, "name": "good", "prompts": "x", "remove": "on"},
        ),
    )
    assert reply.status_code == 302
    assert [x.pk for x in active_labels(dataset)] == [labels[0].pk]
    assert Label.objects.get(pk=labels[0].pk).name == "scratch"


def test_invalid_form_shows_errors_and_keeps_the_input(dataset: Any, people: dict[str, Any]) -> None:
    client, url = client_of(people["admin"]), reverse("labels", args=["parts"])
    for rows, message in [
        (({"name": "good", "prompts": "x" * 10_000},), "10000 characters"),
        (({"name": "good", "prompts": ""},), "a photo of good"),
        (({"name": "a", "prompts": "x"}, {"name": "A", "prompts": "y"}), "Two labels have one name"),
        (({"name": "", "prompts": "orphan"},), "A label needs a name"),
        ((), "at least one label"),
    ]:
        reply = client.post(url, form_data(*rows))
        text = reply.content.decode()
        assert reply.status_code == 422, message
        assert message in text
        assert "Nothing was saved yet" in text
        assert all(row["name"] in text for row in rows)
    assert not Label.objects.exists() and not Job.objects.exists()


def test_names_prompts_and_guidelines_are_escaped(dataset: Any, people: dict[str, Any]) -> None:
    services.set_schema(
        dataset=dataset,
        labels=[{"name": "<b>x</b>", "prompts": ["<script>1</script>"], "guideline": "<img src=x>"}],
        user=people["admin"],
    )
    for name in ("admin", "viewer"):
        text = client_of(people[name]).get(reverse("labels", args=["parts"])).content.decode()
        assert "<b>x</b>" not in text and "<script>1" not in text and "<img src=x>" not in text


def test_members_read_labels_and_strangers_get_404(dataset: Any, people: dict[str, Any]) -> None:
    url = reverse("labels", args=["parts"])
    assert "writes the labels" in client_of(people["reviewer"]).get(url).content.decode()
    services.set_schema(
        dataset=dataset,
        labels=[{"name": "傷", "prompts": ["a scratch"], "guideline": "Longer than 2 mm"}],
        user=people["admin"],
    )
    for name in ("reviewer", "viewer"):
        page = client_of(people[name]).get(url)
        assert page.status_code == 200
        assert "Longer than 2 mm" in page.content.decode() and b"<textarea" not in page.content
        assert client_of(people[name]).post(url, form_data({"name": "x", "prompts": "y"})).status_code == 403
    assert client_of(people["stranger"]).get(url).status_code == 404
    assert client_of(people["stranger"]).post(url, form_data()).status_code == 404
    assert Client().get(url).status_code == 302
    assert [x.name for x in active_labels(dataset)] == ["傷"]


def test_truncated_prompts_are_reported(dataset: Any, people: dict[str, Any]) -> None:
    services.set_schema(
        dataset=dataset, labels=[{"name": "good", "prompts": ["a long story"]}], user=people["admin"]
    )
    prompt_set = current_prompt_set(dataset)
    head = ChampionFactory(head__dataset=dataset, head__prompt_set=prompt_set).head
    LongPrompt.objects.create(encoder=head.encoder, prompt=prompt_set.prompts.get(), tokens=9, context=5)
    LongPrompt.objects.create(encoder=EncoderFactory(), prompt=prompt_set.prompts.get(), tokens=9, context=6)
    text = client_of(people["admin"]).get(reverse("labels", args=["parts"])).content.decode()
    assert "reads only the beginning of these prompts" in text
    assert "9 tokens, 5 are read" in text and "6 are read" not in text
    services.set_schema(
        dataset=dataset, labels=[{"name": "good", "prompts": ["short"]}], user=people["admin"]
    )
    text = client_of(people["admin"]).get(reverse("labels", args=["parts"])).content.decode()
    assert "reads only the beginning of these prompts" not in text
