"""Exclusion of images: they are neither queued, trained on nor exported until they are taken back."""

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from mekiki.audit.models import Event
from mekiki.exports import services as exports
from mekiki.exports.models import LabelSet, LabelSetEntry
from mekiki.exports.readme import readme
from mekiki.exports.snapshot import take_snapshot
from mekiki.labeling.models import Label
from mekiki.learning.models import TrainingRun
from mekiki.learning.services import request_training
from mekiki.learning.services.training import can_learn
from mekiki.review import services
from mekiki.review.errors import ReviewError
from mekiki.review.exclusions import unqueued_ids
from mekiki.review.models import ConfirmedLabel, ExcludedImage, Lease, QueueItem, Stream
from mekiki.review.selectors import reviewed_image_ids, training_labels, training_votes
from tests.roles import set_fixed
from tests.web.test_gallery import decide, wait
from tests.web.test_gallery_acts import ACT, GALLERY, Selection

pytestmark = pytest.mark.django_db


def excluded() -> set[int]:
    return {int(row.image.sha256, 16) for row in ExcludedImage.objects.select_related("image")}


def test_excluded_images_leave_queue_training_and_filters_until_they_are_taken_back() -> None:
    world = Selection()
    for number in (4, 5, 6):
        decide(world, number, world.labels[0])
    ConfirmedLabel.objects.filter(image=world.images[6]).update(stream=Stream.AUDIT, in_training=False)
    item = wait(world, 9, "uncertain")
    lease = Lease.objects.create(item=item, user=world.user, expires_at="2100-01-01T00:00:00Z", slot=0)
    page = world.client.get(GALLERY, {"select": "images"}).content.decode()
    assert 'value="exclude"' in page and "Write a reason" in world.act("exclude", image=world.ids(4))
    # The hidden image 3 and the image 6 of the audit sample stay, and both are counted.
    text = world.act("exclude", image=world.ids(3, 4, 6, 9, 10), reason="  wrong  camera ")
    assert "3 images are excluded now: they are neither reviewed, trained on nor exported." in text
    assert "1 image that must be judged blind was left out" in text
    assert "1 image of the audit sample was not excluded" in text
    assert excluded() == {4, 9, 10}
    event = Event.objects.get(kind="images.acted_on")
    assert event.data["reason"] == "wrong camera" and event.data["audited"] == 1
    # Queue: the waiting item is withdrawn, and no act queues the image again.
    item.refresh_from_db()
    lease.refresh_from_db()
    assert item.state == QueueItem.State.WITHDRAWN and lease.ended_at is not None
    head, ids = world.heads[1], world.ids(9, 10, 11)
    services.fill_queue(
        dataset=world.dataset, head=head, image_ids=ids, streams=["uncertain"] * 3, propensities=[1] * 3
    )
    waiting = QueueItem.objects.filter(state=QueueItem.State.WAITING)
    assert set(waiting.values_list("image_id", flat=True)) == set(world.ids(11))
    world.act("queue", image=world.ids(4, 9))
    assert not world.rechecks() and set(world.ids(4, 9, 10)) <= reviewed_image_ids(world.dataset)
    with pytest.raises(ReviewError, match="excluded this image"):
        services.request_recheck(dataset=world.dataset, user=world.admin, image_id=world.images[4].pk)
    # An undo of an answer may return it to the queue: the next refill withdraws it.
    again = wait(world, 10, "uncertain")
    services.fill_queue(dataset=world.dataset, head=head, image_ids=[], streams=[], propensities=[])
    again.refresh_from_db()
    assert again.state == QueueItem.State.WITHDRAWN
    # Training.
    for rows in (training_labels(world.dataset), training_votes(world.dataset)):
        assert len(rows) == 1 and world.images[5].pk in (
            rows[0] if isinstance(rows[0], tuple) else [rows[0].image]
        )
    # The gallery shows and finds them, the page of the image says why.
    assert world.numbers(use="excluded") == [10, 9, 4] and 4 not in world.numbers(use="in_use")
    assert "wrong camera" in world.client.get(GALLERY, {"use": "excluded"}).content.decode()
    address = reverse("image", args=["world", world.images[4].sha256])
    page = world.client.get(address).content.decode()
    assert "wrong camera" in page and "Take back" in page and "ada" in page
    assert "Take back" not in world.reviewer_client.get(address).content.decode()
    # If a raised share makes image 9 a part of the audit reserve, it is audited all the same.
    set_fixed(world.images[9], audit_key=0.1)
    assert unqueued_ids(world.dataset) == set(world.ids(4, 10))
    assert world.numbers(use="excluded") == [10, 4]
    # Taken back, from the page of the image.
    data = {"act": "include", "image": world.ids(4), "from": world.images[4].sha256}
    reply = world.client.post(ACT, data, follow=True)
    assert reply.redirect_chain[-1][0] == address and "1 image is taken back" in reply.content.decode()
    assert excluded() == {9, 10} and len(training_labels(world.dataset)) == 2
    assert world.reviewer_client.post(ACT, {"act": "include", "image": world.ids(10)}).status_code == 403


def test_label_set_leaves_out_excluded_images_and_those_outside_of_its_view() -> None:
    world = Selection()
    for number in (2, 4, 5, 6, 8, 11):
        decide(world, number, world.labels[0])
    view = services.save_view(dataset=world.dataset, user=world.admin, name="線 2", query="metadata=line%3D2")
    world.act("exclude", image=world.ids(4, 5), reason="blurred")
    page = world.client.get(reverse("exports", args=["world"]), {"view": view.pk}).content.decode()
    assert "4 confirmed labels can be frozen now" in page and "2 images that an admin has excluded" in page
    assert f'<option value="{view.pk}" selected>線 2</option>' in page

    def entries(**options: object) -> tuple[LabelSet, list[int]]:
        label_set = exports.freeze(dataset=world.dataset, user=world.admin, **options)  # type: ignore[arg-type]
        label_set = take_snapshot(label_set)
        rows = LabelSetEntry.objects.filter(label_set=label_set).order_by("position")
        return label_set, [
            world.images.index(one) for one in world.images if one.pk in {r.image_id for r in rows}
        ]

    plain, numbers = entries()
    assert numbers == [2, 6, 8, 11] and plain.snapshot["excluded"] == 2 and "view" not in plain.snapshot
    narrow, numbers = entries(view=view)
    assert numbers == [2, 8, 11]
    assert narrow.snapshot["view"] == {"name": "線 2", "query": "metadata=line%3D2"}
    assert "images that were chosen: the images of the saved view “線 2” (metadata=line=2)" in readme(narrow)
    assert "2 images that an admin has excluded are left out." in readme(narrow)
    event = Event.objects.filter(kind="label_set.requested").latest("pk")
    assert event.data["view"] == "線 2" and event.data["query"] == view.query
    # A view that no image matches.
    query = "since=2001-01-01&until=2001-01-02"
    empty = services.save_view(dataset=world.dataset, user=world.admin, name="empty", query=query)
    with pytest.raises(ValidationError, match="nothing to export"):
        entries(view=empty)
    # A view whose filter lost its value exports nothing, also if this happened after the request.
    lost = services.save_view(
        dataset=world.dataset, user=world.admin, name="good", query=f"confirmed={world.labels[0].pk}"
    )
    label_set = exports.freeze(dataset=world.dataset, user=world.admin, view=lost)
    Label.objects.filter(pk=world.labels[0].pk).update(archived_at="2026-01-01T00:00:00Z")
    for act in (
        lambda: take_snapshot(label_set),
        lambda: exports.freeze(dataset=world.dataset, user=world.admin, view=lost),
    ):
        with pytest.raises(ValidationError, match="does not exist"):
            act()


def test_training_without_a_view_is_a_run_of_its_own() -> None:
    world = Selection()
    decide(world, 4, world.labels[0])
    view = services.save_view(dataset=world.dataset, user=world.admin, name="v", query="metadata=line%3D1")
    address = reverse("gallery-view-train", args=["world", view.pk])
    assert world.reviewer_client.post(address).status_code == 403
    plain = request_training(dataset=world.dataset, trigger="button", user=world.admin)
    reply = world.client.post(address, follow=True).content.decode()
    assert (
        "A head is trained without the images of the view “v”." in reply and "without the view “v”" in reply
    )
    world.client.post(address)
    run = TrainingRun.objects.exclude(pk=plain.pk).get()
    assert (run.without_view, run.without_query, run.created_by) == ("v", view.query, world.admin)
    assert plain.without_query == "" and plain.job_id != run.job_id
    requested = Event.objects.filter(kind="training.requested").latest("pk")
    assert requested.data["without_view"] == "v" and requested.data["query"] == view.query
    world.act("exclude", image=world.ids(4), reason="r")
    assert not can_learn(world.dataset)
    assert "Training is not possible yet" in world.client.post(address, follow=True).content.decode()
