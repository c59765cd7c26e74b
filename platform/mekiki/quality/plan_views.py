"""The three steps before a certificate: the statement, the plan, and the start. Nothing is frozen before."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from mekiki.accounts.http import parse_number, user_of
from mekiki.accounts.models import Role
from mekiki.datasets.access import dataset_for
from mekiki.jobs.progress import job_status
from mekiki.labeling.models import Label
from mekiki.learning.selectors import champion
from mekiki.quality.certificate_facts import percent
from mekiki.quality.certificate_forms import NumbersForm, StatementForm
from mekiki.quality.certificate_scope import scope_text
from mekiki.quality.certificate_work import stopped_plan
from mekiki.quality.certificates import running_certificate
from mekiki.quality.models import CertificatePlan
from mekiki.quality.plan_facts import coverage_marks, plan_facts
from mekiki.quality.plans import newest_open_plans, plan_for, plan_numbered
from mekiki.quality.services import certificates


@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest, slug: str) -> HttpResponse:
    """Step 1: show the form of the statement, and request the plan. `?plan=` shows the values of a plan."""
    user = user_of(request)
    dataset = dataset_for(user, slug, Role.ADMIN)
    number = parse_number(request.GET.get("plan", ""))
    before = plan_numbered(dataset, number) if number is not None else None
    form = StatementForm(request.POST if request.method == "POST" else None, dataset=dataset, plan=before)
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            plan = certificates.request_plan(
                dataset=dataset,
                user=user,
                **{name: values[name] for name in ("protocol", "overlap", "batch", "public_words", "note")},
            )
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return redirect("certificate-plan", slug, plan.number)
    context = {
        "dataset": dataset,
        "section": "quality",
        "step": 1,
        "form": form,
        "head": champion(dataset),
        "running": running_certificate(dataset),
        "plans": [(plan, percent(plan.alpha)) for plan in newest_open_plans(dataset)],
    }
    return render(request, "quality/certificate_create.html", context, status=422 if form.errors else 200)


@require_safe
def plan(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Step 2: show the plan, and ask for its numbers. They are kept in the address when a user comes back."""
    shown = plan_for(user_of(request), slug, number)
    form = NumbersForm(request.GET) if "limit" in request.GET else None
    return _show_plan(request, shown, form)


def _show_plan(
    request: HttpRequest, shown: CertificatePlan, form: NumbersForm | None, status: int = 200
) -> HttpResponse:
    context = _context(shown, 2)
    if shown.computed_at is not None:
        facts = plan_facts(shown, champion(shown.dataset))
        context["facts"] = facts
        context["marks"] = coverage_marks()
        context["form"] = form or NumbersForm(initial={"limit": facts.limit, "first": str(facts.first)})
    else:
        context["stopped_work"] = stopped_plan(shown)
        if shown.job is not None:
            shown.job.dataset = shown.dataset
            context["job"] = job_status(shown.job, shown.dataset.role)
    return render(request, "quality/certificate_plan.html", context, status=status)


def _context(shown: CertificatePlan, step: int) -> dict[str, Any]:
    names = dict(Label.objects.filter(dataset=shown.dataset_id).values_list("pk", "name"))
    return {
        "dataset": shown.dataset,
        "section": "quality",
        "step": step,
        "plan": shown,
        "running": running_certificate(shown.dataset),
        "statement": {
            "alpha": percent(shown.alpha),
            "delta": percent(shown.delta),
            "critical_bound": None if shown.critical_bound is None else percent(shown.critical_bound),
            "labels": [
                (names.get(int(pk), pk), percent(alpha)) for pk, alpha in shown.alpha_by_label.items()
            ],
        },
    }


@require_POST
def again(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Compute a new plan of the same statement, and show it."""
    user = user_of(request)
    shown = plan_for(user, slug, number)
    try:
        shown = certificates.plan_again(plan=shown, user=user)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    return redirect("certificate-plan", slug, shown.number)


@require_http_methods(["GET", "HEAD", "POST"])
def start(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Step 3: show all values again, and start the certificate."""
    user = user_of(request)
    shown = plan_for(user, slug, number)
    form = NumbersForm(request.POST if request.method == "POST" else request.GET)
    if not form.is_valid():
        return _show_plan(request, shown, form, status=422)
    values = form.cleaned_data
    if request.method == "POST":
        try:
            certificate = certificates.start_planned(
                plan=shown, user=user, limit=values["limit"], levels=values["levels"]
            )
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return redirect("certificate", slug, certificate.version)
    context = _context(shown, 3) | {
        "form": form,
        "scope": scope_text(shown),
        "limit": values["limit"],
        "first": form["first"].value(),
        "first_words": percent(values["first"]),
    }
    if shown.computed_at is not None:
        context["facts"] = plan_facts(shown, champion(shown.dataset))
    return render(request, "quality/certificate_start.html", context, status=422 if form.errors else 200)
