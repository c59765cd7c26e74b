"""Views of the prompt workbench. With htmx they return parts of the page, otherwise the page."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from mekiki.accounts.http import parse_number, user_of
from mekiki.accounts.models import Role
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset
from mekiki.labeling.drafts import stored_draft
from mekiki.labeling.models import Label
from mekiki.labeling.services import discard_draft, save_draft, save_draft_as_version
from mekiki.labeling.words import concepts, fill_phrases, find_concepts, names_of
from mekiki.labeling.words.glossary import GROUPS
from mekiki.quality.following import certificates_by_label
from mekiki.web.workbench.content import Draft, load_content, load_draft

# Seconds that a page waits for the search worker before it shows that the trial is running.
WAIT_SECONDS = 1.5


@require_safe
def workbench(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the workbench for the label `?label=ID`, or for the first label."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    return _page(request, dataset)


@require_POST
def change_draft(request: HttpRequest, slug: str) -> HttpResponse:
    """Store the field of one label in the draft, and show what it changes."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    pk = parse_number(request.POST.get("label", ""))
    try:
        texts = {pk: request.POST.get("prompts", "")} if pk is not None else {}
        save_draft(dataset=dataset, texts=texts, user=user_of(request))
    except ValidationError as error:
        return _page(request, dataset, errors=error.messages)
    if getattr(request, "htmx", False):
        return _results(request, dataset)
    return redirect(_address(dataset, pk))


@require_safe
def results(request: HttpRequest, slug: str) -> HttpResponse:
    """Return what the draft changes, as parts of the page for htmx."""
    return _results(request, dataset_for(user_of(request), slug, Role.ADMIN))


def _results(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    draft = load_draft(dataset, user_of(request))
    selected = _selected(request, draft)
    if selected is None:
        return redirect("labels", dataset.slug)
    content = load_content(dataset, user_of(request), draft, selected, wait=WAIT_SECONDS)
    context = _context(dataset, draft, selected) | {"content": content, "fragment": True}
    response = render(request, "web/workbench/_fragment.html", context)
    if content.state.waiting or content.state.problem:
        # The last result stays on the page until the next one is there.
        response["HX-Reswap"] = "none"
    return response


@require_POST
def save(request: HttpRequest, slug: str) -> HttpResponse:
    """Save the draft as the next version of the prompts."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    pk, text = parse_number(request.POST.get("label", "")), request.POST.get("prompts")
    try:
        if pk is not None and text is not None:  # the field as it is, also without a script
            save_draft(dataset=dataset, texts={pk: text}, user=user_of(request))
        saved = save_draft_as_version(
            dataset=dataset,
            user=user_of(request),
            name=request.POST.get("name", ""),
            seen=parse_number(request.POST.get("base", "")),
        )
    except ValidationError as error:
        return _page(request, dataset, errors=error.messages)
    messages.success(
        request,
        _("Saved as prompt set v%(version)d. The new predictions follow automatically.")
        % {"version": saved.version},
    )
    return redirect(_address(dataset, pk))


@require_POST
def discard(request: HttpRequest, slug: str) -> HttpResponse:
    """Delete the draft."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    if discard_draft(dataset=dataset, user=user_of(request)):
        messages.success(request, _("The draft is discarded. The saved prompts are as they were."))
    return redirect(_address(dataset, parse_number(request.POST.get("label", ""))))


def _address(dataset: Dataset, label: int | None) -> str:
    address = reverse("workbench", args=[dataset.slug])
    return f"{address}?label={label}" if label is not None else address


def _selected(request: HttpRequest, draft: Draft) -> Label | None:
    asked = parse_number(request.POST.get("label", "") or request.GET.get("label", ""))
    by_id = {label.pk: label for label in draft.labels}
    return by_id.get(asked or 0, draft.labels[0] if draft.labels else None)


def _page(request: HttpRequest, dataset: Dataset, errors: list[str] | None = None) -> HttpResponse:
    draft = load_draft(dataset, user_of(request))
    selected = _selected(request, draft)
    if selected is None:
        messages.info(request, _("Write at least one label first. Then the workbench shows what prompts do."))
        return redirect("labels", dataset.slug)
    content = load_content(dataset, user_of(request), draft, selected, wait=WAIT_SECONDS)
    stored = stored_draft(dataset, user_of(request))
    newer = stored is not None and draft.current is not None and stored.base_id != draft.current.pk
    context = _context(dataset, draft, selected) | {
        "section": "labels",
        "content": content,
        "errors": errors or [],
        "text": draft.texts[selected.pk],
        "newer": draft.current if newer else None,
        "certificates": certificates_by_label([selected.pk]).get(selected.pk, 0),
        **_words(selected, draft),
    }
    return render(request, "web/workbench/workbench.html", context, status=422 if errors else 200)


def _context(dataset: Dataset, draft: Draft, selected: Label) -> dict[str, Any]:
    address = reverse("workbench", args=[dataset.slug])
    return {
        "dataset": dataset,
        "draft": draft,
        "selected": selected,
        "label_url": f"{address}?label=",
        "results_url": f"{address}results/?label={selected.pk}",
    }


def _words(selected: Label, draft: Draft) -> dict[str, Any]:
    """Return phrases, terms that fit the label, and the glossary, in the user's language first."""
    language = "ja" if (get_language() or "en").startswith("ja") else "en"
    languages = (language, "en" if language == "ja" else "ja")
    suggested = [
        (concept, [pair for one in languages for pair in concept.sentences(one)])
        for concept in find_concepts(selected.name, draft.prompts[selected.pk])
    ]
    glossary: dict[str, list[Any]] = {}
    for concept in concepts():
        pairs = [concept.sentences(one)[0] for one in languages]
        glossary.setdefault(concept.group, []).append((concept, pairs))
    return {
        "phrases": fill_phrases(names_of(selected.name), language),
        "suggested": suggested,
        "glossary": [(GROUPS[group], entries) for group, entries in glossary.items()],
    }
