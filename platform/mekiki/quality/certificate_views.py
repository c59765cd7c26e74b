"""Pages of certificates: the form, the running audit, the result, and the acts of an admin."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from mekiki.accounts.access import includes_role
from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.datasets.access import dataset_for
from mekiki.jobs.models import ACTIVE_STATES
from mekiki.jobs.progress import job_status
from mekiki.learning.selectors import champion
from mekiki.quality.certificate_facts import attempts_sentence, audit_facts, left_out_sentence, statement
from mekiki.quality.certificate_forms import CertificateForm
from mekiki.quality.certificate_scope import scope_text
from mekiki.quality.certificate_work import newest_job, stopped_work
from mekiki.quality.certificates import certificate_for, label_counts, running_certificate
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


@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the form for a new certificate, and start it."""
    user = user_of(request)
    dataset = dataset_for(user, slug, Role.ADMIN)
    form = CertificateForm(request.POST if request.method == "POST" else None, dataset=dataset)
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            certificate = certificates.start(
                dataset=dataset,
                user=user,
                **{name: values[name] for name in ("protocol", "overlap", "batch", "public_words", "note")},
            )
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return redirect("certificate", slug, certificate.version)
    context = {
        "dataset": dataset,
        "section": "quality",
        "form": form,
        "head": champion(dataset),
        "running": running_certificate(dataset),
    }
    return render(request, "quality/certificate_create.html", context, status=422 if form.errors else 200)


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
        "facts": audit_facts(shown),
        "left_out": left_out_sentence(shown),
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
