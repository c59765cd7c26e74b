"""A head is trained on each of several decisions about an image by its share.

The training is repeatable.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from django.urls import reverse

from mekiki.learning.models import Head
from mekiki.learning.training_log import log_in_words
from mekiki.review.models import Decision, QueueItem
from mekiki.review.selectors import ImageVotes, training_labels, training_votes
from mekiki.review.services import answer, next_items
from tests.factories import MembershipFactory
from workers.heads.targets import make_targets
from workers.steps.training import votes_of

pytestmark = pytest.mark.django_db
Work = Callable[..., dict[str, Any]]


def answer_by_rule(dataset: Any, user: Any, rule: Callable[[Any], str | None]) -> None:
    """Answer everything that waits for this reviewer by the name of a label, or flag it (None)."""
    labels = {label.name: label for label in dataset.labels.filter(archived_at__isnull=True)}
    while leased := next_items(dataset=dataset, user=user, count=1):
        item = leased[0]
        name = rule(item.item)
        answer(
            dataset=dataset, user=user, item_id=item.item.pk, lease_id=item.lease.pk, client_key=uuid.uuid4(),
            kind="flag" if name is None else "correct", label=labels[name] if name else None,
        )  # fmt: skip


def test_differing_decisions_are_trained_on_by_their_share(coloured: Any, work: Work, client: Any) -> None:
    coloured.overlap, coloured.queue_target = 2, 24
    coloured.save()
    work(coloured, "encode")
    work(coloured, "predict")
    one, two = (MembershipFactory(dataset=coloured).user for _ in range(2))
    true = lambda item: item.image.name.split("-")[0]  # noqa: E731
    items = list(QueueItem.objects.filter(stream="diverse").order_by("position"))
    differ, flagged = {item.image_id for item in items[:3]}, items[3].image_id
    other = {"red": "green", "green": "blue", "blue": "red"}
    answer_by_rule(coloured, one, true)
    answer_by_rule(
        coloured,
        two,
        lambda item: (
            None
            if item.image_id == flagged
            else other[true(item)]
            if item.image_id in differ or item.stream == "audit"
            else true(item)
        ),
    )
    settled = {image for image, _label, _decision in training_labels(coloured)}
    training = {image_votes.image: image_votes for image_votes in training_votes(coloured)}
    assert not differ & settled and set(training) == settled | differ
    assert flagged not in training
    audits = set(QueueItem.objects.filter(stream="audit").values_list("image_id", flat=True))
    assert audits and not audits & training.keys(), "audited images are not trained on"

    work(coloured, "train")
    head = Head.objects.latest("version")
    assert head.n_labels == len(training) == head.training_labels.count()
    assert head.metrics.differing_decisions == 3
    y = make_targets(votes_of(list(training.values())), head.label_ids)
    assert y.shape == (len(training), 3) and np.allclose(y.sum(axis=1), 1)
    for row, image_votes in zip(y, training.values(), strict=True):
        votes = Decision.objects.filter(image_id=image_votes.image, kind__in=["confirm", "correct"])
        assert sorted(row[row > 0]) == ([0.5, 0.5] if image_votes.image in differ else [1.0])
        assert {head.label_ids[i] for i in np.flatnonzero(row)} == set(
            votes.values_list("label_id", flat=True)
        )
    assert "Reviewers disagree about 3 images" in log_in_words(head.run.log)

    result = work(coloured, "verify_head", head=head.pk)
    assert (result["outcome"], result["relabelled"]) == ("same", False), result
    client.force_login(coloured.memberships.get(role="admin").user)
    text = client.get(reverse("head", args=[coloured.slug, head.version]), headers={"accept-language": "en"})
    assert "Reviewers disagree about 3 images" in text.content.decode()
    reply = client.get(reverse("head-training-labels", args=[coloured.slug, head.version]))
    rows = b"".join(reply.streaming_content).decode().splitlines()[1:]
    assert len(rows) == 2 * len(training), "one line for each decision"
    assert {row.split(",")[2] for row in rows if row.startswith(items[0].image.sha256)} == {
        true(items[0]),
        other[true(items[0])],
    }

    assert work(coloured, "train")["code"] == "same_head"


def test_single_decisions_equal_the_training_labels(
    coloured: Any, work: Work, answer_queue: Callable[..., int]
) -> None:
    work(coloured, "encode")
    work(coloured, "predict")
    answer_queue(coloured)
    training = training_votes(coloured)
    assert [
        (image_votes.image, image_votes.label, image_votes.decision) for image_votes in training
    ] == training_labels(coloured)
    assert not any(image_votes.others for image_votes in training)
    label_ids = list(coloured.labels.order_by("position").values_list("pk", flat=True))
    y = make_targets(votes_of(training), label_ids)
    assert y.dtype == np.int64 and [label_ids[i] for i in y] == [
        image_votes.label for image_votes in training
    ]


def test_agreeing_decisions_are_not_counted_as_differing() -> None:
    """One sixth added six times is less than 1 in binary."""
    same = ImageVotes(1, 7, 10, tuple((7, 11 + i) for i in range(5)))
    y = make_targets(votes_of([same, ImageVotes(2, 7, 20, ((8, 21),))]), [7, 8])
    assert y.tolist() == [[1.0, 0.0], [0.5, 0.5]]
