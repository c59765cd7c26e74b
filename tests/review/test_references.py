"""Reference images of labels: only admins set them, and no blind image is shown as an example."""

from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.urls import reverse

from mekiki.audit.models import Event
from mekiki.labeling.services import archive_label
from mekiki.review.errors import InvalidAnswerError, NotFoundForReviewerError, ReviewError
from mekiki.review.models import ReferenceImage, Stream
from mekiki.review.references import guides_of, visible_references
from mekiki.review.services import add_reference_image, remove_reference_image, request_recheck
from mekiki.review.services.references import MAX_REFERENCES
from tests.factories import ConfirmedLabelFactory, ImageFactory, LabelFactory
from tests.review_setup import Station
from tests.roles import set_fixed

pytestmark = pytest.mark.django_db


@pytest.fixture
def station() -> Station:
    return Station(audit_fraction=0.1)


@pytest.fixture
def admin(station: Station) -> Any:
    return station.reviewer("admin")


def shown_image(station: Station) -> Any:
    """Create an image outside of the audit reserve."""
    image = ImageFactory(dataset=station.dataset)
    set_fixed(image, audit_key=0.9)
    return image


def test_reference_is_added_changed_and_removed_with_events(station: Station, admin: Any) -> None:
    image, label = shown_image(station), station.labels[1]
    given = {"dataset": station.dataset, "user": admin, "image_id": image.pk, "label_id": label.pk}
    first = add_reference_image(**given, accepted=True, note=" the limit ")
    second = add_reference_image(**given, accepted=False)
    assert first.pk == second.pk
    row = ReferenceImage.objects.get()
    assert (row.accepted, row.note, row.created_by) == (False, "", admin)
    guide = next(guide for guide in guides_of(station.dataset) if guide.label == label)
    assert (guide.accepted, guide.rejected) == ([], [row])
    remove_reference_image(dataset=station.dataset, user=admin, reference_id=row.pk)
    assert not ReferenceImage.objects.exists()
    kinds = Event.objects.filter(kind__startswith="reference_image.").order_by("pk")
    assert [(event.kind, event.data["note"]) for event in kinds] == [
        ("reference_image.added", "the limit"),
        ("reference_image.added", ""),
        ("reference_image.removed", ""),
    ]


def test_only_admins_set_references_and_only_of_their_dataset(station: Station, admin: Any) -> None:
    image, label = shown_image(station), station.labels[0]
    given = {"image_id": image.pk, "label_id": label.pk, "accepted": True}
    for role in ("reviewer", "viewer"):
        with pytest.raises(PermissionDenied):
            add_reference_image(dataset=station.dataset, user=station.reviewer(role), **given)
    other = Station()
    with pytest.raises(NotFoundForReviewerError):
        add_reference_image(dataset=station.dataset, user=admin, **given | {"label_id": other.labels[0].pk})
    with pytest.raises(NotFoundForReviewerError):
        foreign = ImageFactory(dataset=other.dataset)
        add_reference_image(dataset=station.dataset, user=admin, **given | {"image_id": foreign.pk})
    row = add_reference_image(dataset=station.dataset, user=admin, **given)
    with pytest.raises(NotFoundForReviewerError):
        remove_reference_image(dataset=other.dataset, user=other.reviewer("admin"), reference_id=row.pk)
    assert ReferenceImage.objects.count() == 1


def test_invalid_references_are_refused(station: Station, admin: Any) -> None:
    label = station.labels[0]

    def add(**more: Any) -> ReferenceImage:
        given = {"image_id": shown_image(station).pk, "label_id": label.pk, "accepted": True} | more
        return add_reference_image(dataset=station.dataset, user=admin, **given)

    for note in ("x" * 201, "a\x00b", "\ud800"):
        with pytest.raises(InvalidAnswerError):
            add(note=note)
    archived = LabelFactory(dataset=station.dataset)
    archive_label(label=archived, user=admin)
    with pytest.raises(ReviewError, match="archived"):
        add(label_id=archived.pk)
    rows = [add() for _ in range(MAX_REFERENCES)]
    with pytest.raises(ReviewError) as refused:
        add()
    assert refused.value.code == "too_many_references"
    assert not add(image_id=rows[0].image_id, accepted=False).accepted  # a change needs no room


def test_image_that_must_be_judged_blind_is_no_reference(station: Station, admin: Any) -> None:
    label = station.labels[0]
    unjudged = ImageFactory(dataset=station.dataset)
    set_fixed(unjudged, audit_key=0.01)
    with pytest.raises(ReviewError) as refused:
        add_reference_image(
            dataset=station.dataset, user=admin, image_id=unjudged.pk, label_id=label.pk, accepted=True
        )
    assert refused.value.code == "blind"
    # A judged image can become blind again.
    judged = shown_image(station)
    ConfirmedLabelFactory(
        dataset=station.dataset, image=judged, label=label, stream=Stream.AUDIT, in_training=False
    )
    add_reference_image(
        dataset=station.dataset, user=admin, image_id=judged.pk, label_id=label.pk, accepted=True
    )
    assert len(visible_references(station.dataset)) == 1
    request_recheck(dataset=station.dataset, user=admin, image_id=judged.pk)
    assert visible_references(station.dataset) == []


def test_pages_show_references_and_admins_change_them(
    station: Station, admin: Any, client: Client, django_assert_max_num_queries: Any
) -> None:
    image, label = shown_image(station), station.labels[2]
    client.force_login(admin)
    address = reverse("reference-add", args=[station.dataset.slug, image.sha256])
    fields = {"label": label.pk, "use": "rejected", "note": "too short"}
    page = client.post(address, fields, follow=True)
    assert f"The image is a reference image of “{label.name}” now." in page.content.decode()
    assert "too short" in page.content.decode()
    for wrong in ({**fields, "use": "both"}, {**fields, "label": "x"}):
        assert client.post(address, wrong).status_code == 409
    reviewer = station.reviewer()
    client.force_login(reviewer)
    assert client.post(address, fields).status_code == 403
    labels = reverse("labels", args=[station.dataset.slug])
    text = client.get(labels).content.decode()
    assert image.sha256 in text and "too short" in text and "/remove/" not in text
    client.force_login(admin)
    row = ReferenceImage.objects.get()
    remove = reverse("reference-remove", args=[station.dataset.slug, row.pk])
    assert client.get(remove).status_code == 405
    answer = client.post(remove)
    assert answer.url.endswith("/labels/#references")  # type: ignore[attr-defined]
    assert client.post(remove).status_code == 404
    assert image.sha256 not in client.get(labels).content.decode()


def test_references_of_all_labels_take_few_queries(
    station: Station, admin: Any, django_assert_max_num_queries: Any
) -> None:
    for label in station.labels:
        for _ in range(4):
            add_reference_image(
                dataset=station.dataset,
                user=admin,
                image_id=shown_image(station).pk,
                label_id=label.pk,
                accepted=True,
            )
    with django_assert_max_num_queries(6):
        guides = guides_of(station.dataset)
    assert [len(guide.accepted) for guide in guides] == [4, 4, 4]


def test_events_of_a_blind_reference_hide_its_note(station: Station, admin: Any, client: Client) -> None:
    judged = shown_image(station)
    ConfirmedLabelFactory(
        dataset=station.dataset, image=judged, label=station.labels[0], stream=Stream.AUDIT, in_training=False
    )
    add_reference_image(
        dataset=station.dataset,
        user=admin,
        image_id=judged.pk,
        label_id=station.labels[0].pk,
        accepted=True,
        note="a typical scratch",
    )
    client.force_login(station.reviewer())
    activity = reverse("activity", args=[station.dataset.slug])
    assert "a typical scratch" in client.get(activity).content.decode()
    request_recheck(dataset=station.dataset, user=admin, image_id=judged.pk)
    assert "a typical scratch" not in client.get(activity).content.decode()
    for form in ("csv", "jsonl"):
        stream = client.get(reverse("activity-download", args=[station.dataset.slug, form]))
        assert b"a typical scratch" not in b"".join(stream)  # type: ignore[call-overload]
