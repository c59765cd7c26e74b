"""Two versions of the prompts side by side, and an earlier version taken again."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from mekiki.accounts.http import parse_number, user_of
from mekiki.accounts.models import Role
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset
from mekiki.labeling.drafts import draft_of, stored_draft
from mekiki.labeling.models import Label, PromptSet
from mekiki.labeling.selectors import active_labels, current_prompt_set, prompts_of
from mekiki.labeling.services import prompts_taken_from, use_prompt_set
from mekiki.web.workbench.content import Draft, load_content

WAIT_SECONDS = 1.5
DRAFT = "draft"


@require_safe
def compare(request: HttpRequest, slug: str) -> HttpResponse:
    """Compare version `?with=N`, or the user's draft, with version `?base=N` or the version in use."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    context = _context(request, dataset)
    context["content"] = load_content(
        dataset, user_of(request), context["draft"], context["selected"], wait=WAIT_SECONDS
    )
    if getattr(request, "htmx", False):
        response = render(request, "web/workbench/_fragment.html", context | {"fragment": True})
        if context["content"].state.waiting or context["content"].state.problem:
            response["HX-Reswap"] = "none"
        return response
    return render(request, "web/workbench/compare.html", context | {"section": "labels"})


def _context(request: HttpRequest, dataset: Dataset) -> dict[str, Any]:
    sets = list(PromptSet.objects.filter(dataset=dataset).select_related("created_by", "taken_from"))
    current = current_prompt_set(dataset)
    labels = list(active_labels(dataset))
    if current is None or not labels:
        raise Http404
    base = _version(sets, request.GET.get("base", "")) or current
    chosen = request.GET.get("with", "")
    other = None if chosen == DRAFT else _version(sets, chosen) or next((s for s in sets if s != base), base)
    texts = _texts(dataset, request, labels, other)
    draft = Draft(labels, texts, base, {k.pk: v for k, v in prompts_taken_from(base, labels).items()})
    asked = parse_number(request.GET.get("label", ""))
    selected = next((label for label in labels if label.pk == asked), labels[0])
    query = urlencode({"base": base.version, "with": other.version if other else DRAFT})
    address = reverse("prompt-versions", args=[dataset.slug])
    before, now = prompts_of(base), draft.prompts
    return {
        "dataset": dataset,
        "draft": draft,
        "selected": selected,
        "sets": sets,
        "base": base,
        "other": other,
        "current": current,
        "has_draft": stored_draft(dataset, user_of(request)) is not None,
        "label_url": f"{address}?{query}&label=",
        "results_url": f"{address}?{query}&label={selected.pk}",
        "rows": [_row(label, before.get(label.pk, []), now[label.pk]) for label in labels],
    }


def _version(sets: list[PromptSet], text: str) -> PromptSet | None:
    number = parse_number(text)
    return next((one for one in sets if one.version == number), None)


def _texts(
    dataset: Dataset, request: HttpRequest, labels: list[Label], other: PromptSet | None
) -> dict[int, str]:
    if other is None:
        return draft_of(dataset, user_of(request))
    return {label.pk: "\n".join(prompts) for label, prompts in prompts_taken_from(other, labels).items()}


def _row(label: Label, before: list[str], now: list[str]) -> dict[str, Any]:
    """Return the prompts of a label in both versions, with what was added and removed."""
    return {
        "label": label,
        "before": [(text, text not in now) for text in before],
        "now": [(text, text not in before) for text in now],
    }


@require_POST
def use(request: HttpRequest, slug: str, version: int) -> HttpResponse:
    """Take the prompts of an earlier version again, as the next version."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    prompt_set = PromptSet.objects.filter(dataset=dataset, version=min(version, 2**31 - 1)).first()
    if prompt_set is None:
        raise Http404
    try:
        taken = use_prompt_set(
            prompt_set=prompt_set, user=user_of(request), name=request.POST.get("name", "")
        )
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(
            request,
            _("The prompts of v%(earlier)d are in use again, as v%(version)d. The new predictions follow "
              "automatically.") % {"earlier": prompt_set.version, "version": taken.version},
        )  # fmt: skip
    return redirect(f"{reverse('labels', args=[dataset.slug])}#versions")
