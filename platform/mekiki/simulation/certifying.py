"""A certificate at the end of a simulated review: what it costs until the whole pool has labels."""

from collections.abc import Callable
from typing import Any

from mekiki.accounts.models import User
from mekiki.datasets.models import Dataset
from mekiki.learning.selectors import champion
from mekiki.quality.certificates import valid_machine_labels
from mekiki.quality.models import Certificate, CertificatePlan
from mekiki.quality.plan_facts import plan_facts
from mekiki.quality.services.certificates import accept, request_plan, start_planned
from mekiki.review.models import ConfirmedLabel, QueueItem
from mekiki.simulation.clients import ReviewClient
from mekiki.simulation.loop import answer_questions
from mekiki.simulation.truth import Truth
from mekiki.simulation.waiting import wait_for_jobs
from verification.certificates.protocol import PLAN_LEVELS, Protocol

_State = Certificate.State


def certify_pool(
    *,
    dataset: Dataset,
    truth: Truth,
    client: ReviewClient,
    admin: User,
    alpha: float,
    delta: float,
    trained: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Plan, audit and accept a certificate, and return the figures of the --json file.

    The simulated reviewer answers the audits blind, by the truth. trained: answers of the review before it.
    The images that then have no label are counted as one answer of a person each (`remainder`).
    """
    plan = _plan(dataset, admin, alpha, delta)
    facts = plan_facts(plan, champion(dataset))
    say(facts.headline or "There is no forecast: " + " ".join(notice.text for notice in facts.notices))
    certificate = start_planned(
        plan=plan,
        user=admin,
        limit=facts.limit,
        levels=[level for level in PLAN_LEVELS if level >= facts.first],
    )
    audits = _answer_audits(dataset, certificate, client, truth)
    certificate.refresh_from_db()
    if certificate.state == _State.PASSED:
        accept(certificate=certificate, user=admin)
        wait_for_jobs(dataset)
        certificate.refresh_from_db()
    figures = _figures(dataset, certificate, truth, trained, audits)
    figures["planned"] = _planned(plan, facts.limit)
    say(_line(figures))
    return figures


def _plan(dataset: Dataset, admin: User, alpha: float, delta: float) -> CertificatePlan:
    plan = request_plan(dataset=dataset, user=admin, protocol=Protocol(alpha=alpha, delta=delta, limit=1))
    wait_for_jobs(dataset)
    plan = CertificatePlan.objects.select_related("head").get(pk=plan.pk)
    plan.dataset = dataset
    return plan


def _answer_audits(dataset: Dataset, certificate: Certificate, client: ReviewClient, truth: Truth) -> int:
    """Answer the images of the audit until it ends, and return the number of answers.

    They are first in the queue. No other image of the queue is answered.
    """
    answers = 0
    while True:
        wait_for_jobs(dataset)  # the freeze, or the check and the draw after an answer
        certificate.refresh_from_db()
        if certificate.state != _State.AUDITING:
            return answers
        waiting = certificate.drawn.filter(item__state=QueueItem.State.WAITING).count()
        given = answer_questions(client, truth, min(5, waiting), quiet=True)
        if not given:
            raise RuntimeError("The audit of the certificate waits for images that nobody gets.")
        answers += given


def _figures(
    dataset: Dataset, certificate: Certificate, truth: Truth, trained: int, audits: int
) -> dict[str, Any]:
    machine = dict(valid_machine_labels(dataset).values_list("image_id", "label_id"))
    wrong = sum(truth.by_id[image] != label for image, label in machine.items())
    by_people = ConfirmedLabel.objects.filter(dataset=dataset).count()
    remainder = len(truth.by_id) - by_people - len(machine)
    return {
        "alpha": certificate.alpha,
        "delta": certificate.delta,
        "state": certificate.state,
        "limit": certificate.limit,
        "first_level": certificate.levels[0],
        "pool": certificate.pool,
        "candidates": certificate.candidates,
        "by_machine": len(machine),
        "wrong": wrong,
        "wrong_share": round(wrong / len(machine), 5) if machine else None,
        "answers_before": trained,
        "audits": audits,
        "audit_errors": certificate.errors,
        "remainder": remainder,
        "answers": trained + audits + remainder,
        "images": len(truth.by_id),
    }


def _planned(plan: CertificatePlan, limit: int) -> dict[str, Any] | None:
    forecast = plan.forecasts.filter(alpha=plan.alpha, limit=limit).first()
    return {"images": forecast.images, "audits": forecast.audits} if forecast is not None else None


def _line(figures: dict[str, Any]) -> str:
    share = "–" if figures["wrong_share"] is None else f"{figures['wrong_share']:.2%}"
    return (
        f"Certificate (at most {figures['alpha']:g} wrong, risk {figures['delta']:g}): {figures['state']}. "
        f"{figures['by_machine']} of {figures['images']} labels by machine, {figures['wrong']} of them wrong "
        f"by the hidden truth ({share}). Answers to a finished pool: {figures['answers']} = "
        f"{figures['answers_before']} before + {figures['audits']} audits + {figures['remainder']} others."
    )
