"""An admin puts a flagged image back into the queue, and its history is kept."""

import html

import pytest
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.urls import reverse

from mekiki.audit.models import Event
from mekiki.review import selectors, services
from mekiki.review.errors import NotFoundForReviewerError, ReviewError
from mekiki.review.models import Decision, QueueItem, Stream
from mekiki.review.unresolved import unresolved_decisions
from tests.factories import ImageFactory
from tests.review_setup import Station

pytestmark = pytest.mark.django_db


def page_text(station: Station, user) -> str:
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return html.unescape(client.get(reverse("review-queue", args=[station.dataset.slug])).content.decode())


def post(station: Station, user, flag: Decision):
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    address = reverse("review-queue-act", args=[station.dataset.slug])
    return client.post(address, {"one": f"return:{flag.pk}"}, follow=True)


def test_image_put_back_by_an_admin_comes_first_and_stays_blind():
    station = Station(items=2)
    audited = station.item(stream=Stream.AUDIT)
    QueueItem.objects.filter(pk=audited.pk).update(position=0.5)
    user, admin = station.reviewer(), station.reviewer("admin")
    flag = station.answer(user, station.next(user)[0], "flag", note="too dark\nask line 3")
    assert audited.image_id in selectors.reviewed_image_ids(station.dataset)
    text = page_text(station, admin)
    assert "too dark<br>ask line 3" in text
    assert f'value="return:{flag.pk}"' in text
    assert f'value="return:{flag.pk}"' not in page_text(station, user)
    reply = post(station, admin, flag)
    assert "1 image was returned to the start of the queue" in reply.content.decode()
    assert not unresolved_decisions(station.dataset).exists()
    again = station.next(user)[0]
    assert again.item == audited and again.blind, (
        "the reviewer who flagged the image may answer, without a prediction"
    )
    assert again.item.propensity == audited.propensity
    flag.refresh_from_db()
    assert flag.note == "too dark\nask line 3"
    event = Event.objects.get(kind="queue.put_back")
    assert event.actor_name == admin.username and event.data["image"] == audited.image.sha256
    assert event.data["flags"] == [flag.pk]
    assert selectors.answered_today(station.dataset, admin) == 0
    station.answer(user, again, "correct", label=station.labels[1])
    assert selectors.audit_sample(station.dataset) == [(audited.image_id, station.labels[1].pk, None)]


def test_refill_keeps_an_image_put_back_by_an_admin():
    station = Station(items=3)
    user, admin = station.reviewer(), station.reviewer("admin")
    leased = station.next(user)[0]
    flag = station.answer(user, leased, "flag")
    services.return_to_queue(dataset=station.dataset, user=admin, decision_id=flag.pk)
    other = ImageFactory(dataset=station.dataset)
    services.fill_queue(
        dataset=station.dataset,
        head=station.head,
        image_ids=[other.pk, leased.item.image_id],
        streams=["uncertain", "uncertain"],
        propensities=[0.5, 0.5],
    )
    waiting = QueueItem.objects.filter(dataset=station.dataset, state=QueueItem.State.WAITING)
    assert list(waiting.order_by("position").values_list("image_id", flat=True)) == [
        leased.item.image_id,
        other.pk,
    ]


def test_admin_decision_supersedes_every_open_flag():
    station = Station(items=1, overlap=2)
    first, second, admin = station.reviewer(), station.reviewer(), station.reviewer("admin")
    leased = [station.next(user)[0] for user in (first, second)]
    flags = [
        station.answer(user, leased_item, "flag", note=user.username)
        for user, leased_item in zip((first, second), leased, strict=True)
    ]
    services.return_to_queue(dataset=station.dataset, user=admin, decision_id=flags[1].pk)
    undone = Decision.objects.filter(kind=Decision.Kind.UNDO).order_by("supersedes_id")
    assert [(d.user, d.supersedes_id) for d in undone] == [(admin, flags[0].pk), (admin, flags[1].pk)]
    assert Event.objects.filter(kind="decision.recorded", data__kind="undo").count() == 2
    with pytest.raises(ReviewError, match="already undone"):
        services.return_to_queue(dataset=station.dataset, user=admin, decision_id=flags[0].pk)
    with pytest.raises(ReviewError, match="no answer left to undo"):
        station.undo(first)


def test_images_that_cannot_be_put_back_are_reported():
    station, elsewhere = Station(items=1), Station(items=1)
    user, late, admin = station.reviewer(), station.reviewer(), station.reviewer("admin")
    stale = station.next(late)[0]
    stale.lease.delete()
    leased = station.next(user)[0]
    answered = station.answer(user, leased, "confirm")
    flag = Decision.objects.create(
        dataset=station.dataset, image=leased.item.image, item=leased.item, user=late, kind="flag", late=True,
        client_key="6b7f1d0e-2f7b-4d0e-9d52-0c7a6d1f2a10",
    )  # fmt: skip
    assert "Others have already answered this image" in html.unescape(
        post(station, admin, flag).content.decode()
    )
    foreign = elsewhere.reviewer()
    other = elsewhere.answer(foreign, elsewhere.next(foreign)[0], "flag")
    for pk in (other.pk, answered.pk, 2**62):
        with pytest.raises(NotFoundForReviewerError):
            services.return_to_queue(dataset=station.dataset, user=admin, decision_id=pk)
    assert post(station, admin, other).status_code == 404
    assert post(station, user, flag).status_code == 403
    with pytest.raises(PermissionDenied):
        services.return_to_queue(dataset=station.dataset, user=user, decision_id=flag.pk)
    assert not Event.objects.filter(kind="queue.put_back").exists()
