"""A certificate from the start to the labels set by machine, with a real head and real answers."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from mekiki.datasets.models import Dataset, Image
from mekiki.jobs.models import Kind
from mekiki.labeling.models import Label
from mekiki.labeling.services import update_label
from mekiki.learning.services import promote
from mekiki.quality.certificates import machine_labelled_ids
from mekiki.quality.models import (
    Certificate,
    CertificateAudit,
    CertificateImage,
    CertificateStream,
    MachineLabel,
    StreamImage,
)
from mekiki.quality.services.certificates import accept, extend_to_stream, start
from mekiki.review.models import ConfirmedLabel, Stream
from mekiki.review.selectors import audit_sample, reviewed_image_ids, training_labels
from mekiki.review.services import answer, next_items
from tests.factories import HeadFactory, MembershipFactory
from tests.quality_setup import make_protocol
from tests.workers.conftest import COLOURS, add_image, answer_waiting, picture, run_job
from verification.certificates.order import audit_order, commitment, order_key
from verification.certificates.stream import stream_audits

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fixed_seed")]
Work = Callable[..., dict[str, Any]]
State = Certificate.State
IMAGES = 260


@pytest.fixture(scope="module")
def with_head(coloured_of_module: Any) -> Any:
    """Create a dataset of 260 images with a head that knows the colours."""
    dataset, names = coloured_of_module, list(COLOURS)
    for number in range(30, IMAGES):
        name = names[number % 3]
        add_image(dataset, picture(COLOURS[name], number), f"{name}-{number}.png", (number % 10) / 10 + 0.05)
    run_job(dataset, Kind.ENCODE)
    run_job(dataset, Kind.PREDICT)
    answer_waiting(dataset)
    run_job(dataset, Kind.TRAIN)
    return dataset


@pytest.fixture
def trained(with_head: Any, db: None) -> Any:
    """Return the dataset as it was before the test, with an admin."""
    dataset: Any = Dataset.objects.get(pk=with_head.pk)
    dataset.admin = MembershipFactory(dataset=dataset, role="admin").user
    return dataset


def begin(dataset: Any, work: Work, **protocol: Any) -> Certificate:
    """Start a certificate, run its job, and return it with its drawn audits."""
    values = {"alpha": 0.1, "limit": 100, "levels": (0.7, 1.0), **protocol}
    certificate = start(dataset=dataset, user=dataset.admin, protocol=make_protocol(**values))
    work(dataset, Kind.CERTIFY)
    certificate.refresh_from_db()
    return certificate


def answer_audits(dataset: Any, work: Work, certificate: Certificate, most: int = 200) -> Certificate:
    """Answer the audits as their file names say, until the test ends.

    After each answer the job of the certificate runs, as in the product.
    """
    user = MembershipFactory(dataset=dataset).user
    labels = {label.name: label for label in Label.objects.filter(dataset=dataset)}
    for _ in range(most):
        [leased] = next_items(dataset=dataset, user=user, count=1)
        if leased.item.stream != Stream.CERTIFY:
            break
        name = leased.item.image.name.split("-")[0]
        answer(
            dataset=dataset,
            user=user,
            item_id=leased.item.pk,
            lease_id=leased.lease.pk,
            kind="correct",
            label=labels[name].pk,
            client_key=uuid.uuid4(),
        )
        work(dataset, Kind.CERTIFY, certificate=certificate.pk)
        certificate.refresh_from_db()
        if certificate.state != State.AUDITING:
            break
    return certificate


def test_watched_certificate_labels_the_pool(trained: Any, work: Work) -> None:
    by_people = ConfirmedLabel.objects.filter(dataset=trained).count()
    certificate = begin(trained, work)
    assert certificate.state == State.AUDITING
    assert certificate.pool == certificate.candidates == IMAGES - by_people
    # Anybody can compute the order again from the seed, and the commitment binds the seed.
    assert commitment(bytes(certificate.seed)).hex() == certificate.commitment
    pool = list(
        CertificateImage.objects.filter(certificate=certificate)
        .order_by("audit_position")
        .values_list("image__sha256", flat=True)
    )
    hashes = sorted(pool)
    assert [hashes[i] for i in audit_order(order_key(bytes(certificate.seed)), hashes)] == pool
    # A job that runs again neither freezes nor draws again.
    drawn = CertificateAudit.objects.count()
    work(trained, Kind.CERTIFY, certificate=certificate.pk)
    assert CertificateAudit.objects.count() == drawn
    certificate = answer_audits(trained, work, certificate)
    # The test ends where further audits cost more answers than they save.
    assert certificate.state == State.PASSED and certificate.region in {175, 250}
    assert 20 < certificate.audits < 100 and certificate.errors == 0
    left = certificate.checks.first().left
    checks = list(certificate.checks.order_by("pk"))
    assert [check.audits for check in checks] == sorted(check.audits for check in checks)
    accept(certificate=certificate, user=trained.admin)
    work(trained, Kind.CERTIFY)
    certificate.refresh_from_db()
    assert certificate.state == State.ACCEPTED
    labelled = machine_labelled_ids(trained)
    assert len(labelled) == certificate.accepted == left >= certificate.region - certificate.audits
    # PostgreSQL plans with the new number of rows at once.
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE relname = 'quality_machinelabel'")
        assert cursor.fetchone() == (len(labelled),)
    assert not labelled & set(ConfirmedLabel.objects.values_list("image", flat=True))
    wrong = [
        row
        for row in MachineLabel.objects.select_related("image", "label")
        if row.image.name.split("-")[0] != row.label.name
    ]
    assert len(wrong) <= certificate.alpha * len(labelled)
    # Reviewers are asked about these images only for the audit sample.
    work(trained, Kind.REFILL)
    waiting = trained.queue_items.filter(state="waiting", image__in=labelled)
    assert not waiting.exclude(stream=Stream.AUDIT).exists()


def test_audit_answers_neither_train_nor_enter_the_audit_sample(trained: Any, work: Work) -> None:
    before = set(audit_sample(trained)), set(training_labels(trained))
    certificate = answer_audits(trained, work, begin(trained, work), most=30)
    assert (set(audit_sample(trained)), set(training_labels(trained))) == before
    assert ConfirmedLabel.objects.filter(stream=Stream.CERTIFY).count() >= 30
    # Images of the audit reserve are still drawn for the ordinary audit in their turn.
    reserve = CertificateAudit.objects.filter(
        certificate=certificate, image__audit_key__lt=trained.audit_fraction, item__state="done"
    )
    assert reserve.exists()
    assert not reviewed_image_ids(trained) & set(reserve.values_list("image_id", flat=True))


def test_critical_labels_and_risky_images_are_left_to_people(trained: Any, work: Work) -> None:
    red = Label.objects.get(dataset=trained, name="red")
    update_label(label=red, user=trained.admin, critical=True)
    certificate = begin(trained, work, critical_bound=0.2)
    rows = CertificateImage.objects.filter(certificate=certificate)
    assert not rows.filter(label=red, rank__gte=1).exists()
    assert not rows.filter(critical_probability__gt=0.2, rank__gte=1).exists()
    assert certificate.critical_label == rows.filter(label=red).count() > 0
    left_out = certificate.critical_label + certificate.critical_risk
    assert certificate.candidates + left_out == certificate.pool == rows.count()
    certificate = answer_audits(trained, work, certificate)
    accept(certificate=certificate, user=trained.admin)
    work(trained, Kind.CERTIFY)
    assert not MachineLabel.objects.filter(label=red).exists()


def run_to_the_end(dataset: Any, work: Work, **protocol: Any) -> Certificate:
    """Return an accepted certificate whose labels are set."""
    certificate = answer_audits(dataset, work, begin(dataset, work, **protocol))
    accept(certificate=certificate, user=dataset.admin)
    work(dataset, Kind.CERTIFY)
    certificate.refresh_from_db()
    assert certificate.state == State.ACCEPTED
    return certificate


def test_later_images_are_labelled_audited_and_stopped(trained: Any, work: Work) -> None:
    certificate = run_to_the_end(trained, work)
    extend_to_stream(certificate=certificate, user=trained.admin, share=0.3)
    work(trained, Kind.CERTIFY)
    stream = CertificateStream.objects.get()
    assert stream.accepted == 0  # no image is later than the freeze, so the frozen pool is left alone
    names = list(COLOURS)
    later = [
        add_image(trained, picture(COLOURS[names[n % 3]], n), f"{names[n % 3]}-{n}.png", (n % 10) / 10 + 0.05)
        for n in range(400, 430)
    ]
    work(trained, Kind.ENCODE)
    work(trained, Kind.PREDICT)
    # The prediction has requested the job.
    work(trained, Kind.CERTIFY)
    stream.refresh_from_db()
    assert stream.accepted == StreamImage.objects.count() > 10
    rows = StreamImage.objects.select_related("image", "label")
    assert {row.image_id for row in rows} <= {image.pk for image in later}
    assert all(row.confidence >= stream.confidence for row in rows)
    assert all(row.image.name.split("-")[0] == row.label.name for row in rows)
    seed = bytes(stream.seed)
    assert [row.is_audited for row in rows] == stream_audits(
        seed, [row.image.sha256 for row in rows], stream.share
    )
    # A job that runs again adds nothing.
    work(trained, Kind.CERTIFY, certificate=certificate.pk)
    stream.refresh_from_db()
    assert stream.accepted == len(rows)
    user = MembershipFactory(dataset=trained).user
    [leased] = next_items(dataset=trained, user=user, count=1)
    assert leased.item.stream == Stream.CERTIFY and leased.blind
    answer(
        dataset=trained, user=user, item_id=leased.item.pk, lease_id=leased.lease.pk, kind="correct",
        label=Label.objects.get(dataset=trained, name=leased.item.image.name.split("-")[0]).pk,
        client_key=uuid.uuid4(),
    )  # fmt: skip
    work(trained, Kind.CERTIFY, certificate=certificate.pk)
    stream.refresh_from_db()
    assert (stream.audits, stream.errors) == (1, 0)
    # Another head stops it, and the job of the certificate has nothing to do then.
    promote(head=HeadFactory(dataset=trained, version=99), reason="")
    certificate.refresh_from_db()
    assert certificate.state == State.SUSPENDED
    work(trained, Kind.CERTIFY, certificate=certificate.pk)
    stream.refresh_from_db()
    assert stream.ended_at is not None and stream.accepted == len(rows)


def test_scope_limits_the_pool_and_the_later_images(trained: Any, work: Work) -> None:
    red = Label.objects.get(dataset=trained, name="red")
    half = list(Image.objects.filter(dataset=trained).order_by("pk")[: IMAGES // 2 * 2 : 2])
    Image.objects.filter(pk__in=[image.pk for image in half]).update(metadata={"line": "3", "lot": "A=1"})
    certificate = begin(trained, work, scope={"label": str(red.pk), "metadata": "lot=A=1"})
    rows = list(CertificateImage.objects.filter(certificate=certificate).select_related("image"))
    labelled = set(ConfirmedLabel.objects.values_list("image", flat=True))
    assert 10 < len(rows) == certificate.pool < IMAGES / 4
    assert all(row.label_id == red.pk and row.image.metadata["lot"] == "A=1" for row in rows)
    assert {row.image_id for row in rows} >= {
        image.pk for image in half if image.name.startswith("red") and image.pk not in labelled
    }


@pytest.mark.parametrize("scope", [{"label": "0"}, {"label": "x"}, {"label": "-1"}])
def test_scope_of_an_unknown_label_is_refused(coloured: Any, scope: dict[str, str]) -> None:
    admin = MembershipFactory(dataset=coloured, role="admin").user
    with pytest.raises(ValidationError, match="no such label"):
        start(dataset=coloured, user=admin, protocol=make_protocol(scope=scope))
