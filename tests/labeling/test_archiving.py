"""Archiving a label reports its effects first. The label returns under its name, with its answers."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from mekiki.audit.models import Event
from mekiki.labeling import services
from mekiki.labeling.models import Label
from mekiki.labeling.selectors import active_labels, current_prompt_set, prompts_of
from mekiki.review.models import ConfirmedLabel, Stream
from tests.factories import ConfirmedLabelFactory, DatasetFactory, HeadFactory, UserFactory
from tests.pages import without_gaps

pytestmark = pytest.mark.django_db


def spec(name: str, *prompts: str, **more: Any) -> Any:
    return {"name": name, "prompts": list(prompts) or [f"a photo of {name}"], **more}


@pytest.fixture
def admin() -> Any:
    return UserFactory()


@pytest.fixture
def dataset(admin: Any) -> Any:
    """Create the labels good, scratch (13 answers, 2 audited) and dent, and one head that knows them."""
    dataset = DatasetFactory(admin=admin, slug="parts")
    services.set_schema(
        dataset=dataset, labels=[spec("good"), spec("Scratch", "a scratch", "傷"), spec("dent")], user=admin
    )
    scratch = dataset.labels.get(name="Scratch")
    for number in range(13):
        audit = number < 2
        ConfirmedLabelFactory(
            dataset=dataset,
            label=scratch,
            stream=Stream.AUDIT if audit else Stream.UNCERTAIN,
            in_training=not audit,
        )
    HeadFactory(dataset=dataset, prompt_set=current_prompt_set(dataset))
    return dataset


@pytest.fixture
def client(admin: Any) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(admin)
    return client


def rows_of(dataset: Any, **changed: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the page, with the changed fields by label name."""
    prompts = prompts_of(current_prompt_set(dataset))
    return [
        {
            "id": label.pk,
            "position": label.position,
            "name": label.name,
            "prompts": "\n".join(prompts[label.pk]),
        }
        | ({"critical": "on"} if label.critical else {})
        | changed.get(label.name, {})
        for label in active_labels(dataset)
    ]  # fmt: skip


def form_data(rows: list[dict[str, Any]], **more: str) -> dict[str, Any]:
    data: dict[str, Any] = {"labels-TOTAL_FORMS": len(rows), "labels-INITIAL_FORMS": len(rows), **more}
    for number, row in enumerate(rows):
        data |= {f"labels-{number}-{key}": value for key, value in row.items() if value is not None}
    return data


def names(dataset: Any) -> list[str]:
    return [label.name for label in active_labels(dataset)]


@pytest.mark.parametrize("service", ["archive_label", "set_schema"])
def test_a_label_with_answers_is_archived_only_when_confirmed(dataset: Any, admin: Any, service: str) -> None:
    scratch = dataset.labels.get(name="Scratch")

    def archive(confirmed: bool) -> None:
        if service == "archive_label":
            services.archive_label(label=scratch, user=admin, confirmed=confirmed)
        else:
            services.set_schema(
                dataset=dataset,
                labels=[spec("good"), spec("dent")],
                user=admin,
                confirmed=[scratch.pk] if confirmed else [],
            )

    events = Event.objects.count()
    with pytest.raises(ValidationError) as refused:
        archive(confirmed=False)
    message = " ".join(refused.value.messages)
    for part in (
        "Scratch",
        "13 answers",
        "2 prompts",
        "1 head",
        "2 images of the audit sample have this label",
    ):
        assert part in message
    assert names(dataset) == ["good", "Scratch", "dent"] and Event.objects.count() == events
    archive(confirmed=True)
    assert names(dataset) == ["good", "dent"]
    event = Event.objects.get(kind="label.archived")
    assert event.data == {"name": "Scratch", "answers": 13, "audited": 2}
    # A label without answers needs no confirmation.
    services.archive_label(label=dataset.labels.get(name="dent"), user=admin)


def test_confirming_one_label_does_not_archive_another(dataset: Any, admin: Any) -> None:
    dent = dataset.labels.get(name="dent")
    ConfirmedLabelFactory(dataset=dataset, label=dent)
    with pytest.raises(ValidationError) as refused:
        services.set_schema(dataset=dataset, labels=[spec("good")], user=admin, confirmed=[dent.pk])
    assert len(refused.value.messages) == 1 and "Scratch" in refused.value.messages[0]
    assert names(dataset) == ["good", "Scratch", "dent"]


@pytest.mark.parametrize("name", ["Scratch", "scratch", "ＳＣＲＡＴＣＨ", " scra\u200btch "])
@pytest.mark.parametrize("service", ["set_schema", "add_label"])
def test_label_added_again_is_restored_with_its_answers(
    dataset: Any, admin: Any, name: str, service: str
) -> None:
    scratch = dataset.labels.get(name="Scratch")
    services.update_label(label=scratch, user=admin, critical=True, guideline="Longer than 2 mm")
    services.archive_label(label=scratch, user=admin, confirmed=True)
    if service == "set_schema":
        labels = [spec("good"), spec("dent"), spec("new"), spec(name)]
        services.set_schema(dataset=dataset, labels=labels, user=admin)
    else:
        assert services.add_label(dataset=dataset, name=name, user=admin).pk == scratch.pk
    restored = Label.objects.get(pk=scratch.pk)
    assert restored.archived_at is None and restored.position == 2, "the same label, under its own key"
    assert restored.critical and restored.guideline == "Longer than 2 mm"
    assert ConfirmedLabel.objects.filter(label__archived_at__isnull=True, label=restored).count() == 13
    assert Label.objects.filter(dataset=dataset, name__iexact=restored.name).count() == 1
    assert Event.objects.get(kind="label.restored").data["answers"] == 13
    assert {label.name: label.position for label in active_labels(dataset)}["dent"] == 3


def test_restoring_a_name_prefers_the_archived_label_with_answers(dataset: Any, admin: Any) -> None:
    """Two archived labels of one name, as they existed before labels could be restored."""
    scratch = dataset.labels.get(name="Scratch")
    services.archive_label(label=scratch, user=admin, confirmed=True)
    twin = Label.objects.create(dataset=dataset, name="scratch", position=9)
    services.archive_label(label=twin, user=admin)
    assert services.add_label(dataset=dataset, name="SCRATCH", user=admin).pk == scratch.pk


def test_restore_button_restores_the_label_with_its_prompts(dataset: Any, admin: Any, client: Client) -> None:
    scratch = dataset.labels.get(name="Scratch")
    services.archive_label(label=scratch, user=admin, confirmed=True)
    services.set_schema(dataset=dataset, labels=[spec("good"), spec("dent", position=2)], user=admin)
    page = without_gaps(client.get(reverse("labels", args=["parts"])).content.decode())
    assert "Archived labels" in page and '<td class="numeric">13</td><td class="numeric">2</td>' in page
    url = reverse("label-restore", args=["parts", scratch.pk])
    assert client.get(url).status_code == 405
    reply = client.post(url, follow=True).content.decode()
    assert "restored with its 13 answer" in reply
    restored = Label.objects.get(pk=scratch.pk)
    assert restored.archived_at is None and restored.position == 3, (
        "its key belongs to another label, so the label comes last"
    )
    assert prompts_of(current_prompt_set(dataset))[restored.pk] == ["a scratch", "傷"]
    assert client.post(url).status_code == 404, "the label is no longer archived"


def test_only_admins_restore_labels(dataset: Any, admin: Any) -> None:
    scratch = dataset.labels.get(name="Scratch")
    services.archive_label(label=scratch, user=admin, confirmed=True)
    url = reverse("label-restore", args=["parts", scratch.pk])
    from tests.factories import MembershipFactory

    for role, status in (("reviewer", 403), ("viewer", 403), (None, 404)):
        user = MembershipFactory(dataset=dataset, role=role).user if role else UserFactory()
        other = Client()
        other.force_login(user)
        assert other.post(url).status_code == status
        assert "label-restore" not in other.get(reverse("labels", args=["parts"])).content.decode()
    elsewhere = DatasetFactory(admin=admin, slug="elsewhere")
    client = Client()
    client.force_login(admin)
    assert client.post(reverse("label-restore", args=[elsewhere.slug, scratch.pk])).status_code == 404
    assert client.post(f"/d/parts/labels/{10**30}/restore/").status_code == 404
    assert Label.objects.get(pk=scratch.pk).archived_at is not None


def test_label_whose_name_is_in_use_cannot_be_restored(dataset: Any, admin: Any, client: Client) -> None:
    scratch = dataset.labels.get(name="Scratch")
    services.archive_label(label=scratch, user=admin, confirmed=True)
    Label.objects.create(dataset=dataset, name="scratch", position=7)
    page = client.get(reverse("labels", args=["parts"])).content.decode()
    assert "a label in use has this name" in page
    reply = client.post(reverse("label-restore", args=["parts", scratch.pk]), follow=True)
    assert "Two labels have one name" in reply.content.decode()


def test_name_of_an_archived_label_with_answers_cannot_be_reused(dataset: Any, admin: Any) -> None:
    """Two labels of one name in one label set could not be distinguished."""
    dent = dataset.labels.get(name="dent")
    scratch = dataset.labels.get(name="Scratch")
    with pytest.raises(ValidationError) as refused:
        services.set_schema(
            dataset=dataset,
            labels=[spec("good"), spec("scratch", id=dent.pk)],
            user=admin,
            confirmed=[scratch.pk],
        )
    assert refused.value.code == "archived_name" and names(dataset) == ["good", "Scratch", "dent"]
    services.archive_label(label=scratch, user=admin, confirmed=True)
    with pytest.raises(ValidationError):
        services.update_label(label=dent, user=admin, name="SCRATCH")
    assert names(dataset) == ["good", "dent"]


def test_the_page_asks_before_it_archives_a_label_with_answers(dataset: Any, client: Client) -> None:
    url, scratch = reverse("labels", args=["parts"]), dataset.labels.get(name="Scratch")
    rows = rows_of(dataset, Scratch={"remove": "on"})
    reply = client.post(url, form_data(rows))
    text = reply.content.decode()
    assert reply.status_code == 422 and "Nothing was saved yet" in text
    assert "13 answers" in text and "2 images of the audit sample have this label" in text
    assert f'value="remove-{scratch.pk} "' in text and names(dataset) == ["good", "Scratch", "dent"]
    # An invalid key, or the key of another label, confirms nothing.
    for confirm in (
        "on",
        "remove-",
        "remove-0",
        f"remove-{scratch.pk + 1}",
        "remove-" + "9" * 40,
        "remove-²",
    ):
        assert client.post(url, form_data(rows, confirm=confirm)).status_code == 422
    assert names(dataset) == ["good", "Scratch", "dent"]
    assert client.post(url, form_data(rows, confirm=f"remove-{scratch.pk} ")).status_code == 302
    assert names(dataset) == ["good", "dent"]


def test_label_removed_and_added_in_one_form_is_kept(dataset: Any, client: Client) -> None:
    scratch = dataset.labels.get(name="Scratch")
    rows = [*rows_of(dataset, Scratch={"remove": "on"}), {"name": "scratch", "prompts": "a scratch"}]
    assert client.post(reverse("labels", args=["parts"]), form_data(rows)).status_code == 302
    assert Label.objects.get(pk=scratch.pk).name == "scratch" and Label.objects.count() == 3


def test_the_page_asks_before_a_label_is_no_longer_critical(dataset: Any, admin: Any, client: Client) -> None:
    scratch = dataset.labels.get(name="Scratch")
    services.update_label(label=scratch, user=admin, critical=True)
    scratch.refresh_from_db()
    assert scratch.critical_since is not None and scratch.critical_until is None
    url = reverse("labels", args=["parts"])
    rows = rows_of(dataset, Scratch={"critical": None})
    reply = client.post(url, form_data(rows))
    assert reply.status_code == 422 and "no longer critical" in reply.content.decode()
    assert client.post(url, form_data(rows, confirm=f"critical-{scratch.pk}")).status_code == 302
    scratch.refresh_from_db()
    assert not scratch.critical and scratch.critical_until is not None
    first = scratch.critical_until
    services.update_label(label=scratch, user=admin, critical=True)
    scratch.refresh_from_db()
    assert scratch.critical_since > first == scratch.critical_until
