"""Pages of certificates: the running audit, the result, the acts of an admin, and how it is known."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from mekiki.accounts.access import includes_role
from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.datasets.access import dataset_for
from mekiki.jobs.models import ACTIVE_STATES
from mekiki.jobs.progress import job_status
from mekiki.quality.certificate_facts import (
    attempts_sentence,
    audit_facts,
    left_out_sentence,
    next_step,
    outcome_of_plan,
    percent,
    statement,
)
from mekiki.quality.certificate_progress import (
    STEP,
    AuditProgress,
    audit_progress,
    evidence_marks,
    needed_evidence,
)
from mekiki.quality.certificate_scope import scope_text
from mekiki.quality.certificate_work import newest_job, stopped_work
from mekiki.quality.certificates import certificate_for, label_counts
from mekiki.quality.explanations import explanations
from mekiki.quality.models import Certificate
from mekiki.quality.services import certificates
from mekiki.quality.stream_facts import stream_facts
from mekiki.quality.stream_views import StreamForm

_State = Certificate.State
_ACTS = {
    "end": certificates.end_audit,
    "cancel": certificates.cancel,
    "accept": certificates.accept,
    "revoke": certificates.revoke,
    "continue": certificates.continue_work,
}


@require_safe
def certificate(request: HttpRequest, slug: str, version: int) -> HttpResponse:
    """Show a certificate: its statement, the audit, the result, and what can be checked."""
    shown = certificate_for(user_of(request), slug, version)
    dataset = shown.dataset
    context: dict[str, Any] = {
        "dataset": dataset,
        "section": "quality",
        "certificate": shown,
        "statement": statement(shown),
        "attempts": attempts_sentence(shown),
        "left_out": left_out_sentence(shown),
        "planned": outcome_of_plan(shown),
        "alpha": percent(shown.alpha),
        "has_critical": dataset.labels.filter(critical=True, archived_at__isnull=True).exists(),
        **_audit_context(shown, audit_progress(shown)),
        "scope": scope_text(shown),
        "label_counts": label_counts(shown),
        "job": None,
        "stopped_work": stopped_work(shown),
        "may_act": includes_role(dataset.role, Role.ADMIN),
        "revocable": (_State.PASSED, _State.ACCEPTING, _State.ACCEPTED, _State.SUSPENDED),
        "seed": _revealed_seed(shown),
        "stream": stream_facts(shown.pk),
        "stream_form": StreamForm(),
    }
    job = newest_job(shown)
    if job is not None and job.state in ACTIVE_STATES:
        context["job"] = job_status(job, dataset.role)
    return render(request, "quality/certificate.html", context)


def _audit_context(shown: Certificate, progress: AuditProgress) -> dict[str, Any]:
    facts = audit_facts(shown)
    lines = facts.lines if facts is not None else []
    return {
        "facts": facts,
        "progress": progress,
        "next_step": next_step(shown, facts),
        "marks": evidence_marks(shown, lines),
        "needed": needed_evidence(shown),
        "every": STEP,
        "audit_state": _audit_state_key(shown, progress),
    }


def _audit_state_key(shown: Certificate, progress: AuditProgress) -> str:
    """Return a text that changes when the running audit shows something new."""
    newest = shown.checks.values_list("pk", flat=True).first() or 0
    counts = (progress.drawn, progress.labelled, progress.waiting, progress.unresolved, len(progress.people))
    return "-".join(map(str, (newest, *counts)))


@require_safe
def live(request: HttpRequest, slug: str, version: int) -> HttpResponse:
    """Return the part of the page that changes while the audit runs.

    The answer is 204 if nothing is new since the state that the page names. When the audit has ended, the
    answer tells the page to load itself again (js/reload.js). It writes nothing.
    """
    shown = certificate_for(user_of(request), slug, version)
    if shown.state != _State.AUDITING:
        return HttpResponse(status=204, headers={"HX-Trigger": "mekiki:reload"})
    progress = audit_progress(shown)
    if request.GET.get("state") == _audit_state_key(shown, progress):
        return HttpResponse(status=204)
    context = {"dataset": shown.dataset, "certificate": shown, **_audit_context(shown, progress)}
    return render(request, "quality/_certificate_live.html", context)


@require_safe
def explained(request: HttpRequest, slug: str) -> HttpResponse:
    """Explain in plain words how the figures of a certificate are known."""
    dataset = dataset_for(user_of(request), slug)
    context = {"dataset": dataset, "section": "quality", "sections": explanations()}
    return render(request, "quality/certificate_explained.html", context)


def _revealed_seed(certificate: Certificate) -> str:
    """Return the seed as hexadecimal text, or an empty text: it is secret while the audit runs."""
    over = certificate.ended_at is not None or certificate.stopped_at is not None
    return bytes(certificate.seed).hex() if certificate.seed and over else ""


@require_POST
def act(request: HttpRequest, slug: str, version: int) -> HttpResponse:
    """End, cancel, accept or revoke a certificate."""
    shown = certificate_for(user_of(request), slug, version, Role.ADMIN)
    service = _ACTS.get(request.POST.get("act", ""))
    if service is None:
        raise Http404
    try:
        service(certificate=shown, user=user_of(request))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, _("Done. The event is recorded in the activity log."))
    return redirect("certificate", slug, version)
