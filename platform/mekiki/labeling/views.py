"""Views of the labels page: schema, guidelines and prompts."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from mekiki.accounts.access import includes_role
from mekiki.accounts.http import parse_number, user_of
from mekiki.accounts.models import Role
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset
from mekiki.jobs import progress
from mekiki.jobs.models import Job, Kind, State
from mekiki.labeling.effects import effects_of, restoring_sentence
from mekiki.labeling.forms import LabelFormSet, initial_rows, rows_of_file
from mekiki.labeling.models import Label, PromptSet
from mekiki.labeling.questions import Question, confirmation_questions, confirmed_labels
from mekiki.labeling.selectors import (
    active_labels,
    archived_labels,
    current_prompt_set,
    last_position,
    prompts_of,
)
from mekiki.labeling.services import restore_label, set_schema
from mekiki.labeling.text import DEFAULT_TEMPLATE, TEMPLATES, name_key
from mekiki.labeling.yaml_file import MAX_BYTES, read_schema, write_schema

VERSIONS = 20


@require_http_methods(["GET", "HEAD", "POST"])
def labels(request: HttpRequest, slug: str) -> HttpResponse:
    """Show labels and prompts. An admin edits all of them in one form."""
    needed = Role.ADMIN if request.method == "POST" else Role.VIEWER
    dataset = dataset_for(user_of(request), slug, needed)
    if request.method == "POST":
        return _save(request, dataset)
    return _page(request, dataset)


def _save(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    formset: Any = LabelFormSet(request.POST, prefix="labels")
    if not formset.is_valid():
        return _page(request, dataset, formset, list(formset.non_form_errors()))
    before = current_prompt_set(dataset)
    specs, confirmed = formset.specs(), request.POST.get("confirm", "").split()
    questions_to_confirm = confirmation_questions(dataset, specs)
    if any(question.key not in confirmed for question in questions_to_confirm):
        return _page(request, dataset, formset, asked=questions_to_confirm)
    archived = {label.pk for label in archived_labels(dataset)}
    try:
        prompt_set = set_schema(
            dataset=dataset, labels=specs, user=user_of(request), confirmed=confirmed_labels(confirmed)
        )
    except ValidationError as error:
        return _page(request, dataset, formset, error.messages)
    _message_restored_labels(request, [label for label in active_labels(dataset) if label.pk in archived])
    if before is not None and prompt_set.pk == before.pk:
        messages.success(request, _("Saved. The prompts are as they were."))
    else:
        messages.success(
            request,
            _("Saved as prompt set v%(version)d. The new predictions follow automatically.")
            % {"version": prompt_set.version},
        )
    return redirect("labels", dataset.slug)


def _message_restored_labels(request: HttpRequest, labels: list[Label]) -> None:
    for held in effects_of(labels):
        text = ngettext(
            "“%(label)s” was archived before. It was restored with its %(n)d answer.",
            "“%(label)s” was archived before. It was restored with its %(n)d answers.",
            held.answers,
        )
        messages.success(request, text % {"label": held.label.name, "n": held.answers})


@require_safe
def download(request: HttpRequest, slug: str) -> HttpResponse:
    """Download the labels in use as YAML."""
    dataset = dataset_for(user_of(request), slug)
    response = HttpResponse(write_schema(dataset), content_type="application/yaml; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="labels-{dataset.slug}.yaml"'
    return response


@require_POST
def read_file(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the labels of a YAML file in the form. Nothing is saved until the admin saves the form."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    file = request.FILES.get("file")
    try:
        if file is None:
            raise ValidationError(_("No file was chosen. Choose a YAML file of labels first."))
        entries = read_schema(file.read(MAX_BYTES + 1))
    except ValidationError as error:
        return _page(request, dataset, errors=error.messages)
    rows = rows_of_file(entries, list(active_labels(dataset)), last_position(dataset))
    formset = LabelFormSet(initial=rows, prefix="labels")
    messages.info(
        request,
        _(
            "The form shows the labels of the file. Nothing is saved yet: look at them, then save. Labels "
            "that are not in the file are marked to be archived."
        ),
    )
    return _page(request, dataset, formset)


@require_POST
def restore(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Restore an archived label."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    label = archived_labels(dataset).filter(pk=min(pk, 2**63 - 1)).first()
    if label is None:
        raise Http404
    try:
        _message_restored_labels(request, [restore_label(label=label, user=user_of(request))])
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    return redirect("labels", dataset.slug)


def _page(
    request: HttpRequest,
    dataset: Dataset,
    formset: Any = None,
    errors: list[str] | None = None,
    asked: list[Question] | None = None,
) -> HttpResponse:
    shown = list(active_labels(dataset))
    current = current_prompt_set(dataset)
    prompts = prompts_of(current)
    may_edit = includes_role(dataset.role, Role.ADMIN)
    if formset is None and may_edit:
        formset = LabelFormSet(initial=initial_rows(shown, prompts, last_position(dataset)), prefix="labels")
    predict = Job.objects.filter(dataset=dataset, kind=Kind.PREDICT).order_by("-number").first()
    context = {
        "dataset": dataset,
        "section": "labels",
        "may_edit": may_edit,
        "formset": formset,
        "errors": errors or [],
        "asked": asked or [],
        "archived": [
            (
                held,
                name_key(held.label.name) in {name_key(label.name) for label in shown},
                restoring_sentence(held),
            )
            for held in effects_of(archived_labels(dataset))
        ],
        "rows": [(label, prompts.get(label.pk, [])) for label in shown],
        "current": current,
        "last_key": last_position(dataset),
        "templates": TEMPLATES,
        "default_template": DEFAULT_TEMPLATE,
        "jobs": [job for job in progress.active_jobs_of(dataset) if job.kind == Kind.PREDICT],
        "failed": predict if predict is not None and predict.state == State.FAILED else None,
        **_versions(request, dataset),
    }
    return render(
        request,
        "labeling/labels.html",
        context,
        status=422 if errors or asked or _has_errors(formset) else 200,
    )


def _has_errors(formset: Any) -> bool:
    return bool(formset is not None and formset.is_bound and any(formset.errors))


def _versions(request: HttpRequest, dataset: Dataset) -> dict[str, Any]:
    """Return the newest prompt sets, and the set that ?version=N selects."""
    sets = PromptSet.objects.filter(dataset=dataset).select_related("created_by", "taken_from")
    asked = parse_number(request.GET.get("version", ""))
    opened = sets.filter(version=asked).first() if asked is not None else None
    by_label: dict[str, list[str]] = {}
    if opened is not None:
        rows = opened.prompts.select_related("label").order_by("label__position", "label_id", "position")
        for prompt in rows:
            by_label.setdefault(prompt.label.name, []).append(prompt.text)
    return {
        "versions": list(sets.annotate(n=Count("prompts")).order_by("-version")[:VERSIONS]),
        "opened": opened,
        "opened_prompts": by_label.items(),
    }
