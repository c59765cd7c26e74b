"""The share of right labels of all images, as the worker computes and stores it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from mekiki.datasets.models import Dataset
from mekiki.jobs.models import Job
from mekiki.labeling.services import archive_label
from mekiki.learning.models import Head, Prediction
from mekiki.learning.pool_figure import PoolFigure
from mekiki.quality.models import Certificate, MachineLabel
from mekiki.quality.outdated_figures import remark_on_age
from mekiki.quality.services.certificates import revoke
from mekiki.review.models import ConfirmedLabel, Decision
from mekiki.review.services import undo
from tests.factories import CertificateFactory, HeadFactory, UserFactory
from tests.workers.conftest import answer_waiting, run_job
from tests.workers.test_auditing import Work, add_later_images, create_import, newest

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def answered(coloured_of_module: Any) -> Any:
    """Answer a part of the queue of 30 images, and compute the estimate."""
    create_import(coloured_of_module, list(coloured_of_module.images.all()))
    run_job(coloured_of_module, "encode")
    run_job(coloured_of_module, "predict")
    answer_waiting(coloured_of_module)
    run_job(coloured_of_module, "refill")
    return coloured_of_module


@pytest.fixture
def reviewed(answered: Any, db: None) -> Any:
    """Return the dataset as it was before the test."""
    return Dataset.objects.get(pk=answered.pk)


def figure(dataset: Any) -> PoolFigure:
    found = PoolFigure.of(newest(dataset))
    assert found is not None
    return found


def unlabelled(dataset: Any) -> list[int]:
    labelled = ConfirmedLabel.objects.filter(dataset=dataset).values("image")
    return list(dataset.images.exclude(pk__in=labelled).order_by("pk").values_list("pk", flat=True))


def certify(dataset: Any, image_id: int, label_id: int, head: Any) -> None:
    """Set the label of an image by an accepted certificate of a head."""
    certificate = CertificateFactory(
        dataset=dataset,
        head=head,
        state=Certificate.State.ACCEPTED,
        accepted_at=timezone.now(),
        created_by=UserFactory(),
    )
    MachineLabel.objects.create(
        image_id=image_id, dataset=dataset, label_id=label_id, certificate=certificate, confidence=0.9
    )


def test_each_estimate_has_the_figure_of_all_images(reviewed: Any, work: Work) -> None:
    people = ConfirmedLabel.objects.filter(dataset=reviewed).count()
    first = figure(reviewed)
    assert 0 < people < 30
    assert (first.people, first.machine, first.left_out, first.differing) == (people, 30 - people, 0, 0)
    assert first.low is not None and first.share is not None and first.high is not None
    assert people / 30 <= first.low <= first.share <= first.high <= 1
    # Nothing has changed: nothing is stored again.
    before = newest(reviewed).pk
    work(reviewed, "refill")
    assert newest(reviewed).pk == before


def test_an_answer_outside_the_audit_sample_updates_the_figure(
    reviewed: Any, work: Work, answer_queue: Callable[..., int]
) -> None:
    before = figure(reviewed)
    assert answer_queue(reviewed, limit=3)
    work(reviewed, "refill")
    assert figure(reviewed).people == before.people + 3


def test_later_images_without_an_audit_are_left_out_and_counted(reviewed: Any, work: Work) -> None:
    before = figure(reviewed)
    add_later_images(reviewed, 40)
    work(reviewed, "encode")
    work(reviewed, "predict")
    after = figure(reviewed)
    assert (after.left_out, after.people, after.machine) == (40, before.people, before.machine)
    assert after.share == before.share


def test_archiving_a_label_never_raises_the_figure(reviewed: Any, work: Work) -> None:
    before = figure(reviewed)
    label = ConfirmedLabel.objects.filter(dataset=reviewed).order_by("pk")[0].label
    with_label = ConfirmedLabel.objects.filter(dataset=reviewed, label=label).count()
    archive_label(label=label, user=reviewed.memberships.get(role="admin").user, confirmed=True)
    work(reviewed, "refill")
    after = figure(reviewed)
    assert after.people == before.people - with_label
    assert after.share is not None and before.share is not None and after.share <= before.share


def test_certified_labels_of_another_head_that_differ_are_counted(reviewed: Any, work: Work) -> None:
    before = figure(reviewed)
    head = Head.objects.get(champion__dataset=reviewed)
    same, other = unlabelled(reviewed)[:2]
    predicted = dict(Prediction.objects.filter(head=head).values_list("image_id", "label_id"))
    old = HeadFactory(dataset=reviewed, encoder=head.encoder, prompt_set=head.prompt_set)
    certify(reviewed, same, predicted[same], old)
    different = next(pk for pk in head.label_ids if pk != predicted[other])
    certify(reviewed, other, different, old)
    work(reviewed, "refill")
    after = figure(reviewed)
    assert (after.differing, after.machine, after.people) == (1, before.machine, before.people)
    assert after.low is not None and before.low is not None and after.low < before.low


def test_revocation_changes_the_figure_at_once(reviewed: Any, work: Work) -> None:
    head = Head.objects.get(champion__dataset=reviewed)
    image = unlabelled(reviewed)[0]
    predicted = Prediction.objects.get(head=head, image=image).label_id
    old = HeadFactory(dataset=reviewed, encoder=head.encoder, prompt_set=head.prompt_set)
    certify(reviewed, image, next(pk for pk in head.label_ids if pk != predicted), old)
    work(reviewed, "refill")
    assert figure(reviewed).differing == 1 and remark_on_age(newest(reviewed)) == ""
    admin = reviewed.memberships.get(role="admin").user
    revoke(certificate=Certificate.objects.get(), user=admin)
    # The job that computes the figure again is requested; until it has ended, all pages say so.
    client = Client(headers={"accept-language": "en"})
    client.force_login(admin)
    pages = ("/", f"/d/{reviewed.slug}/", f"/d/{reviewed.slug}/quality/", f"/d/{reviewed.slug}/models/")
    for page in pages:
        assert "It is being computed again" in client.get(page).content.decode()
    assert client.get(f"/api/v1/datasets/{reviewed.slug}/accuracy").json()["right_labels"]["outdated"]
    assert Job.objects.filter(dataset=reviewed, kind="refill", state="queued").count() == 1
    work(reviewed, "refill")
    assert figure(reviewed).differing == 0
    for page in pages:
        assert "It is being computed again" not in client.get(page).content.decode()


def test_undone_answer_is_not_counted_before_the_next_computation(
    reviewed: Any, work: Work, answer_queue: Callable[..., int]
) -> None:
    assert answer_queue(reviewed, limit=1)
    work(reviewed, "refill")
    assert remark_on_age(newest(reviewed)) == ""
    decision = Decision.objects.filter(dataset=reviewed).latest("pk")
    people = figure(reviewed).people
    undo(dataset=reviewed, user=decision.user, client_key=uuid.uuid4())
    assert "not counted in this share yet" in remark_on_age(newest(reviewed))
    work(reviewed, "refill")
    assert figure(reviewed).people == people - 1 and remark_on_age(newest(reviewed)) == ""
