"""Two admins act on certificates at the same moment: one wins, the other reads why."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from mekiki.audit.models import Event
from mekiki.jobs.models import Job, Kind
from mekiki.quality.models import Certificate, CertificatePlan
from mekiki.quality.services.certificates import accept, plan_again, request_plan, start, start_planned
from tests.quality_setup import CertifiedPool, certified, make_protocol
from tests.review.test_review_concurrency import errors_of, run_concurrently

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*acts: Callable[[], Any]) -> str:
    """Run acts of which exactly one can succeed, and return the message of the other."""
    [error] = errors_of(run_concurrently(*acts))
    assert isinstance(error, ValidationError)
    return " ".join(error.messages)


def written() -> tuple[int, int, int]:
    """Return the numbers of certificates, of their start events and of their jobs."""
    started = Event.objects.filter(kind="certificate.started")
    return Certificate.objects.count(), started.count(), Job.objects.filter(kind=Kind.CERTIFY).count()


def test_one_of_two_starts_wins() -> None:
    world = CertifiedPool(started=False)

    def begin(limit: int) -> Callable[[], Certificate]:
        protocol = make_protocol(limit=limit)
        return lambda: start(dataset=world.dataset, user=world.admin, protocol=protocol)

    assert "Another certificate is running" in at_once(begin(11), begin(12))
    assert written() == (1, 1, 1)


def test_one_of_two_starts_from_plans_wins() -> None:
    world = CertifiedPool(started=False)

    def request() -> CertificatePlan:
        return request_plan(dataset=world.dataset, user=world.admin, protocol=make_protocol())

    # Plans do not exclude each other, but each has a number and a job of its own.
    assert not errors_of(run_concurrently(request, request))
    plans = list(CertificatePlan.objects.order_by("number"))
    assert [plan.number for plan in plans] == [1, 2] and plans[0].job != plans[1].job

    def begin(plan: CertificatePlan) -> Callable[[], Certificate]:
        return lambda: start_planned(plan=plan, user=world.admin, limit=20, levels=(1.0,))

    assert "Another certificate is running" in at_once(*map(begin, plans))
    assert written() == (1, 1, 1)
    assert CertificatePlan.objects.filter(certificate=None).count() == 1
    # Two clicks on the button of one plan.
    Certificate.objects.update(state=Certificate.State.CANCELLED)
    plan = plan_again(plan=plans[0], user=world.admin)
    address = f"/d/{world.dataset.slug}/quality/certificates/plans/{plan.number}/start/"

    def click() -> Any:
        client = Client(headers={"accept-language": "en"})
        client.force_login(world.admin)
        return client.post(address, {"limit": "20", "first": "1.0"})

    answers = sorted(run_concurrently(click, click), key=lambda answer: answer.status_code)
    assert [answer.status_code for answer in answers] == [302, 422]
    assert "A certificate was started from this plan already" in answers[1].content.decode()
    assert written() == (2, 2, 2)


def test_one_of_two_acceptances_wins() -> None:
    world = certified()

    def press() -> Certificate:
        return accept(certificate=world.certificate, user=world.admin)

    assert "another state now" in at_once(press, press)
    assert Event.objects.filter(kind="certificate.accepted").count() == 1
