"""The page of the seals: newest seal, unsealed rows, last check, heads to keep elsewhere, and keys."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from mekiki.accounts.access import require_platform_admin
from mekiki.accounts.confirming import require_confirmation
from mekiki.accounts.http import user_of
from mekiki.accounts.outbox import is_mail_set_up
from mekiki.audit import head_mail
from mekiki.audit.keys import key_history
from mekiki.audit.messages import FINDINGS
from mekiki.audit.models import Seal, SealCheck, SealTimeStamp
from mekiki.audit.sealing import signed_facts_of, unsealed_count
from mekiki.audit.stamping import add_time_stamp
from mekiki.audit.time_stamps import MAX_REPLY, build_stamp_request
from mekiki.jobs.models import ACTIVE_STATES, Job, Kind, State
from mekiki.jobs.progress import job_status
from mekiki.jobs.seals import request_check, request_seal
from verification.signing import grouped

SHOWN = 10


class TimeStampForm(forms.Form):
    """The reply of a time-stamping authority, and the certificate to trust."""

    reply = forms.FileField(label=gettext_lazy("Reply of the authority (.tsr)"), max_length=200)
    roots = forms.FileField(
        label=gettext_lazy("Certificate of the authority (.pem)"),
        required=False,
        help_text=gettext_lazy(
            "The certificate, obtained from the authority itself. Without it, the signer is not checked."
        ),
    )


class RecipientsForm(forms.Form):
    """The recipients of the head by mail."""

    recipients = forms.CharField(
        label=gettext_lazy("Mail addresses, one a line"),
        required=False,
        max_length=6000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy(
            "The head of the newest seal is sent to them once a day. Empty: it is not sent."
        ),
    )


@require_safe
def seals(request: HttpRequest) -> HttpResponse:
    """Show the state of the seals to every logged-in user: a head reveals nothing about the sealed rows."""
    return _page(request, TimeStampForm())


def _page(
    request: HttpRequest,
    form: TimeStampForm,
    code: int = 200,
    *,
    recipients_form: RecipientsForm | None = None,
) -> HttpResponse:
    newest = Seal.objects.select_related("key").order_by("-number").first()
    check = SealCheck.objects.order_by("-pk").first()
    jobs = Job.objects.filter(kind__in=[Kind.SEAL, Kind.CHECK_SEALS]).order_by("-number")
    last = jobs.filter(kind=Kind.SEAL).exclude(state__in=ACTIVE_STATES).first()
    keys = key_history()
    context: dict[str, Any] = {
        "seal": newest,
        "root": grouped(bytes(newest.log_root).hex()) if newest else "",
        "waiting": unsealed_count(),
        "check": check,
        "findings": [FINDINGS.render(f["code"], f["detail"]) for f in check.findings] if check else [],
        "stamps": SealTimeStamp.objects.order_by("-pk")[:SHOWN],
        "keys": [(key, grouped(key.fingerprint)) for key in keys],
        "jobs": [job_status(job) for job in jobs.filter(state__in=ACTIVE_STATES)],
        "failed": last.error_for_reader if last is not None and last.state == State.FAILED else "",
        "form": form,
        "may_act": user_of(request).is_superuser,
        "mail": is_mail_set_up(),
        "mailed": head_mail.last_mailed(),
    }
    if user_of(request).is_superuser:  # other users may not see addresses
        addresses = head_mail.recipients()
        context |= {
            "recipients": addresses,
            "recipients_form": recipients_form
            or RecipientsForm(initial={"recipients": "\n".join(addresses)}),
            "troubled": head_mail.mails_with_problems(),
        }
    return render(request, "web/seals.html", context, status=code)


@require_POST
def request_seal_or_check(request: HttpRequest) -> HttpResponse:
    """Request a seal or a check."""
    act = {"seal": request_seal, "check": request_check}.get(request.POST.get("act", ""))
    require_platform_admin(user_of(request))
    if act is None:
        messages.error(request, _("No action was requested. Use the buttons of this page."))
    else:
        act(user=user_of(request))
        messages.success(request, _("Requested. This page shows the result."))
    return redirect("seals")


@require_POST
@require_confirmation
def mail(request: HttpRequest) -> HttpResponse:
    """Set who receives the head by mail, or mail it now."""
    require_platform_admin(user_of(request))
    form = RecipientsForm(request.POST)
    try:
        if request.POST.get("act") == "now":
            head_mail.mail_head(user=user_of(request))
            messages.success(
                request, _("The mails are sent within seconds. This page shows which one failed.")
            )
            return redirect("seals")
        if form.is_valid():
            head_mail.set_recipients(
                addresses=form.cleaned_data["recipients"].splitlines(), user=user_of(request)
            )
            messages.success(request, _("Saved."))
            return redirect("seals")
    except ValidationError as error:
        if request.POST.get("act") == "now":
            messages.error(request, " ".join(error.messages))
            return redirect("seals")
        form.add_error("recipients", error)
    return _page(request, TimeStampForm(), 422, recipients_form=form)


@require_POST
def time_stamp(request: HttpRequest) -> HttpResponse:
    """Store the reply of a time-stamping authority."""
    require_platform_admin(user_of(request))
    form = TimeStampForm(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, form, 422)
    reply, roots = form.cleaned_data["reply"], form.cleaned_data["roots"]
    try:
        stamp = add_time_stamp(
            reply=reply.read(MAX_REPLY + 1),
            roots_pem=roots.read(MAX_REPLY + 1) if roots else b"",
            user=user_of(request),
        )
    except ValidationError as error:
        form.add_error(None, error)
        return _page(request, form, 422)
    messages.success(request, _("The time stamp is kept with seal %(number)s.") % {"number": stamp.seal_id})
    return redirect("seals")


@require_safe
def head(request: HttpRequest) -> HttpResponse:
    """Show the head of the newest seal as a page to print."""
    seal = _newest()
    context = {
        "seal": seal,
        "root": grouped(bytes(seal.log_root).hex()),
        "plain_head": f"{seal.number}:{bytes(seal.log_root).hex()}",
        "fingerprint": grouped(seal.key.fingerprint),
    }
    return render(request, "web/seal_head.html", context)


@require_safe
def stamp_request(request: HttpRequest) -> HttpResponse:
    """Download a request for a time stamp of the newest seal."""
    seal = _newest()
    response = HttpResponse(
        build_stamp_request(signed_facts_of(seal).statement()), content_type="application/timestamp-query"
    )
    response["Content-Disposition"] = f'attachment; filename="mekiki-seal-{seal.number}.tsq"'
    return response


@require_safe
def public_keys(request: HttpRequest) -> HttpResponse:
    """Download all public keys as PEM, the key in use first."""
    response = HttpResponse(
        "".join(key.public_pem for key in key_history()), content_type="application/x-pem-file"
    )
    response["Content-Disposition"] = 'attachment; filename="mekiki-public-keys.pem"'
    return response


def _newest() -> Seal:
    seal = Seal.objects.select_related("key").order_by("-number").first()
    if seal is None:
        raise Http404
    return seal
