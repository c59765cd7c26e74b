"""Nothing improves a stated accuracy silently (invariant 4).

Images that leave the audit sample are counted and shown.
"""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from mekiki.datasets.models import Dataset
from mekiki.exports.snapshot import _accuracy
from mekiki.labeling.services import archive_label
from mekiki.learning.models import Evaluation
from mekiki.review.audit_counts import audit_counts
from mekiki.review.models import ConfirmedLabel, QueueItem, Stream
from mekiki.review.selectors import audit_sample
from mekiki.review.services import answer, next_items, retire_audit, undo
from tests.factories import ImageFactory
from tests.workers.conftest import answer_waiting, run_job

pytestmark = pytest.mark.django_db
Work = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def audited(coloured_of_module: Any) -> Any:
    """Audit every image of the reserve and measure the champion on them."""
    run_job(coloured_of_module, "encode")
    run_job(coloured_of_module, "predict")
    for _ in range(3):
        answer_waiting(coloured_of_module)
        run_job(coloured_of_module, "refill")
    assert newest(coloured_of_module).n >= 6
    return coloured_of_module


@pytest.fixture
def measured(audited: Any, db: None) -> Any:
    """Return the dataset as it was before the test."""
    return Dataset.objects.get(pk=audited.pk)


@pytest.fixture
def admin(measured: Any) -> Any:
    return measured.memberships.get(role="admin").user


def newest(dataset: Any) -> Evaluation:
    return Evaluation.objects.filter(head__champion__dataset=dataset).latest("id")


def page_texts(dataset: Any, admin: Any, language: str = "en") -> dict[str, str]:
    """Return the pages that show the figure, by name."""
    client = Client(headers={"accept-language": language})
    client.force_login(admin)
    version = newest(dataset).head.version
    pages = {
        "home": [],
        "overview": [dataset.slug],
        "models": [dataset.slug],
        "head": [dataset.slug, version],
    }
    return {name: client.get(reverse(name, args=args)).content.decode() for name, args in pages.items()}


def test_archiving_a_label_raises_no_accuracy_and_is_shown_on_every_page(
    measured: Any, work: Work, admin: Any
) -> None:
    stated = newest(measured)
    blue = measured.labels.get(name="blue")
    audited = ConfirmedLabel.objects.filter(label=blue, stream=Stream.AUDIT, in_training=False).count()
    assert audited >= 2
    figures = (stated.n, stated.correct, stated.low, stated.high, stated.archived_label)
    archive_label(label=blue, user=admin, confirmed=True)
    # Nothing was measured since: the stated figure stays, next to what has changed.
    for name, text in page_texts(measured, admin).items():
        assert "Since this figure was computed: The labels of" in text, name
        assert f"{audited} audited images were archived" in text, name
    accuracy = _accuracy(stated.head.dataset, stated.head)
    assert accuracy["n"] == stated.n and accuracy["since_stated"] == {"archived_label": audited}
    assert (
        "whole dataset" not in accuracy["statement"]["en"]
        and "データセット全体" not in accuracy["statement"]["ja"]
    )
    work(measured, "predict")
    now = newest(measured)
    stated.refresh_from_db()
    assert (stated.n, stated.correct, stated.low, stated.high, stated.archived_label) == figures
    assert now.pk != stated.pk and now.n == stated.n and now.archived_label == audited
    assert now.correct <= stated.n - audited and (now.accuracy or 0) <= 1 - audited / now.n
    for language, words in (
        ("en", f"The labels of {audited} audited images were archived"),
        ("ja", f"監査した画像 {audited} 枚のラベルがアーカイブ"),
    ):
        for name, text in page_texts(measured, admin, language).items():
            assert words in text, (name, language)
            # The same images are not counted a second time, as images of a label that the head does not know.
            assert "this head does not know" not in text, name
    accuracy = _accuracy(now.head.dataset, now.head)
    assert (accuracy["audited_archived_label"], accuracy["audited_drawn"]) == (audited, now.n)
    assert (
        "whole dataset" not in accuracy["statement"]["en"]
        and "データセット全体" not in accuracy["statement"]["ja"]
    )
    assert f"{audited} audited images were archived" in accuracy["statement"]["en"]
    assert f"{audited} 枚" in accuracy["statement"]["ja"]
    client = Client()
    client.force_login(admin)
    url = reverse("head-confusion", args=[measured.slug, now.head.version])
    rows = list(csv.reader(io.StringIO(client.get(url).getvalue().decode("utf-8-sig"))))
    assert ["", "", str(audited), "archived_label"] in rows


def test_every_image_that_leaves_the_sample_is_counted_by_its_reason(
    measured: Any, work: Work, admin: Any
) -> None:
    before = audit_counts(measured)
    assert before.counted == before.drawn == newest(measured).n and not before
    # An answer is undone, and the image is flagged.
    last = ConfirmedLabel.objects.filter(stream=Stream.AUDIT).latest("decision_id")
    undone = undo(dataset=measured, user=last.decision.user, client_key=uuid.uuid4())
    while undone.image_id != last.image_id:
        undone = undo(dataset=measured, user=last.decision.user, client_key=uuid.uuid4())
    counts_after_undo = audit_counts(measured)
    assert counts_after_undo.drawn == before.drawn and counts_after_undo.taken_back >= 1
    for name, text in page_texts(measured, admin).items():
        assert "was undone" in text or "were undone" in text, name
    work(measured, "refill")
    accuracy = _accuracy(measured, newest(measured).head)
    assert (
        accuracy["audited_taken_back"] == counts_after_undo.taken_back
        and "whole dataset" not in accuracy["statement"]["en"]
    )
    assert accuracy["audited_drawn"] == before.drawn
    # All are retired.
    moved = retire_audit(dataset=measured, user=admin)
    counts = audit_counts(measured)
    assert (counts.counted, counts.retired, counts.drawn) == (0, moved, before.drawn)
    work(measured, "refill")
    for name, text in page_texts(measured, admin).items():
        assert "moved into training" in text, name
    accuracy = _accuracy(measured, newest(measured).head)
    assert accuracy["since_stated"]["retired"] == moved and "whole dataset" not in accuracy["statement"]["en"]


def test_skipped_and_flagged_audit_images_are_counted(coloured: Any, work: Work) -> None:
    admin = coloured.memberships.get(role="admin").user
    coloured.queue_target = 20
    coloured.save()
    work(coloured, "encode")
    work(coloured, "predict")
    kinds = {"skip": 1, "flag": 1}
    while leased := next_items(dataset=coloured, user=admin, count=1):
        item = leased[0]
        kind = "correct"
        if item.item.stream == Stream.AUDIT:
            kind = next((k for k, left in kinds.items() if left), "correct")
            kinds[kind] = 0
        answer(
            dataset=coloured, user=admin, item_id=item.item.pk, lease_id=item.lease.pk, kind=kind,
            label=coloured.labels.get(name=item.item.image.name.split("-")[0]).pk
            if kind == "correct"
            else None,
            client_key=uuid.uuid4(),
        )  # fmt: skip
    counts = audit_counts(coloured)
    assert counts.without_label == 2 and counts.counted == len(audit_sample(coloured))
    work(coloured, "refill")
    assert newest(coloured).without_label == 2
    for name, text in page_texts(coloured, admin).items():
        assert "2 audited images have no label" in text, name


def test_audit_answered_with_a_shown_prediction_is_counted_separately(measured: Any) -> None:
    before = audit_counts(measured)
    label = ConfirmedLabel.objects.filter(stream=Stream.AUDIT).first()
    assert label is not None
    other = type(label.decision).objects.create(
        dataset=measured, image=label.image, user=label.decision.user, kind="correct", label=label.label,
        client_key=uuid.uuid4(), shown={"stream": str(Stream.UNCERTAIN)},
    )  # fmt: skip
    ConfirmedLabel.objects.filter(pk=label.pk).update(decision=other, audit_label=None, audited_at=None)
    counts = audit_counts(measured)
    assert (counts.drawn, counts.prediction_shown) == (before.drawn, 1)
    assert counts.counted == len(audit_sample(measured)) == before.counted - 1


def test_images_that_a_raised_share_excludes_are_counted(measured: Any, admin: Any) -> None:
    from mekiki.datasets.services import update_settings

    before = audit_counts(measured)
    update_settings(dataset=measured, user=admin, audit_fraction=0.05)
    update_settings(dataset=measured, user=admin, audit_fraction=0.5)
    measured.refresh_from_db()
    counts = audit_counts(measured)
    assert counts.share_changed > 0 and counts.drawn == before.drawn
    assert counts.counted == len(audit_sample(measured))


def test_audited_image_without_embedding_is_left_out_and_counted(measured: Any, work: Work) -> None:
    from mekiki.learning.models import Embedding

    before = newest(measured)
    image = audit_sample(measured)[0][0]
    Embedding.objects.filter(image=image).delete()
    work(measured, "refill")
    now = newest(measured)
    assert (now.n, now.not_embedded) == (before.n - 1, 1)
    assert "whole dataset" not in _accuracy(now.head.dataset, now.head)["statement"]["en"]


def test_waiting_items_are_not_drawn_yet(measured: Any) -> None:
    """An image in the queue that no reviewer has seen is not in the counts."""
    before = audit_counts(measured)
    spare = ImageFactory(dataset=measured)
    QueueItem.objects.create(dataset=measured, image=spare, stream=Stream.AUDIT, propensity=0.5, position=1e6)
    assert audit_counts(measured) == before


def test_archiving_a_label_does_not_improve_the_mean_recall(measured: Any, work: Work, admin: Any) -> None:
    """The label that the head gets wrong leaves the head's labels and stays in the mean with recall 0."""
    before = newest(measured).report.macro_recall
    recalls = {row.name: row.recall.value for row in newest(measured).report.labels}
    worst = min((name for name in recalls if recalls[name] is not None), key=lambda name: recalls[name])
    archive_label(label=measured.labels.get(name=worst), user=admin, confirmed=True)
    work(measured, "predict")
    after = newest(measured).report.macro_recall
    assert after.labels == before.labels
    counted_recalls = [row.recall.value for row in newest(measured).report.labels if row.recall.n]
    assert after.value == pytest.approx(sum(counted_recalls) / before.labels)
