"""The forecast of a certificate, with a real head and a real audit sample. Nothing is frozen by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mekiki.jobs.models import Kind
from mekiki.quality.models import Certificate, CertificateImage, CertificatePlan
from mekiki.quality.pace import ASSUMED_SECONDS
from mekiki.quality.services.certificates import request_plan
from tests.factories import MembershipFactory
from tests.workers.conftest import COLOURS, add_image, picture
from verification.certificates.protocol import Protocol
from workers.stages import plan_certificate

pytestmark = pytest.mark.django_db
Work = Callable[..., dict[str, Any]]


@pytest.fixture
def pool(coloured: Any, work: Work, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A dataset of 160 images with predictions by prompts, and an admin. A plan simulates 10 audits."""
    monkeypatch.setattr(plan_certificate, "RUNS", 10)
    names = list(COLOURS)
    for number in range(30, 160):
        name = names[number % 3]
        add_image(coloured, picture(COLOURS[name], number), f"{name}-{number}.png", (number % 10) / 10 + 0.05)
    work(coloured, Kind.ENCODE)
    work(coloured, Kind.PREDICT)
    coloured.admin = MembershipFactory(dataset=coloured, role="admin").user
    return coloured


def planned(dataset: Any, work: Work, **protocol: Any) -> CertificatePlan:
    """Request a plan, run its job, and return it."""
    values = {"alpha": 0.2, "delta": 0.05, "limit": 1, **protocol}
    plan = request_plan(dataset=dataset, user=dataset.admin, protocol=Protocol(**values))
    work(dataset, Kind.PLAN_CERTIFICATE, plan=plan.pk)
    plan.refresh_from_db()
    return plan


def test_plan_without_an_audit_sample_counts_candidates_and_forecasts_nothing(pool: Any, work: Work) -> None:
    plan = planned(pool, work)
    assert plan.computed_at is not None and plan.head is not None and not plan.head.calibrated
    assert plan.pool == plan.candidates == pool.images.count()
    assert plan.audited == 0 and not plan.forecasts.exists()
    assert plan.seconds == ASSUMED_SECONDS and plan.timed_decisions == 0


def test_plan_forecasts_images_audits_and_minutes(
    pool: Any, work: Work, answer_queue: Callable[..., int]
) -> None:
    answer_queue(pool)
    work(pool, Kind.TRAIN)
    plan = planned(pool, work)
    assert plan.audited > 0 and plan.audited_right <= plan.audited
    assert plan.candidates == pool.images.count() - pool.confirmed_labels.count()
    assert {forecast.alpha for forecast in plan.forecasts.all()} == {0.01, 0.02, 0.05, 0.2}
    for forecast in plan.forecasts.all():
        low, middle, high = forecast.images
        assert 0 <= low <= middle <= high <= plan.candidates
        assert forecast.audits[2] <= forecast.limit and 0 <= forecast.granted <= 1
        assert forecast.minutes == pytest.approx(forecast.audits[1] * plan.seconds / 60)
        assert forecast.levels == sorted(forecast.levels)
    # Nothing was frozen, drawn or decided by the plan.
    assert not Certificate.objects.exists() and not CertificateImage.objects.exists()


def test_repeated_job_keeps_the_first_forecast(
    pool: Any, work: Work, answer_queue: Callable[..., int]
) -> None:
    answer_queue(pool)
    plan = planned(pool, work)
    before = list(plan.forecasts.values_list("pk", flat=True))
    work(pool, Kind.PLAN_CERTIFICATE, plan=plan.pk)
    assert list(plan.forecasts.values_list("pk", flat=True)) == before


def test_planned_test_always_audits_its_limit(
    pool: Any, work: Work, answer_queue: Callable[..., int]
) -> None:
    answer_queue(pool)
    plan = planned(pool, work, test="planned")
    assert {tuple(f.audits) for f in plan.forecasts.all()} == {(f.limit,) * 3 for f in plan.forecasts.all()}
