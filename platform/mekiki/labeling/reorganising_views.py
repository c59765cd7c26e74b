"""The page that archives, merges or splits a label, with a preview of what changes."""

from collections.abc import Callable

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from mekiki.accounts.http import parse_number, user_of
from mekiki.accounts.models import Role
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset
from mekiki.labeling.effects import effects_of, effects_sentence
from mekiki.labeling.models import Label
from mekiki.labeling.selectors import active_labels, current_prompt_set, prompts_of
from mekiki.labeling.services import archive_label, merge_label, split_label


@require_http_methods(["GET", "HEAD", "POST"])
def reorganise(request: HttpRequest, slug: str) -> HttpResponse:
    """Show what archiving, merging or splitting the label `?label=ID` changes; with POST, do it.

    The preview is the confirmation: the page shows all effects before it has a button.
    """
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    labels = list(active_labels(dataset))
    asked = parse_number((request.POST or request.GET).get("label", ""))
    label = next((one for one in labels if one.pk == asked), None)
    if request.method == "POST" and label is not None:
        try:
            done = _act(request, dataset, label, labels)
        except ValidationError as error:
            return _page(request, dataset, labels, label, error.messages)
        messages.success(request, done)
        return redirect("labels", dataset.slug)
    return _page(request, dataset, labels, label)


def _act(request: HttpRequest, dataset: Dataset, label: Label, labels: list[Label]) -> str:
    user = user_of(request)

    def archive() -> str:
        archive_label(label=label, user=user, confirmed=True)
        return _("“%(label)s” is archived. It can be restored at any time.") % {"label": label.name}

    def merge() -> str:
        other = parse_number(request.POST.get("into", ""))
        into = next((one for one in labels if one.pk == other), label)
        merge_label(label=label, into=into, user=user, confirmed=True)
        return _("“%(label)s” was merged into “%(into)s”. Its images are reviewed again.") % {
            "label": label.name,
            "into": into.name,
        }

    def split() -> str:
        names = [line for line in request.POST.get("names", "").splitlines() if line.strip()]
        made = split_label(label=label, names=names, user=user, confirmed=True)
        return _("“%(label)s” was split into %(names)s. Its images are reviewed again.") % {
            "label": label.name,
            "names": ", ".join(f"“{one.name}”" for one in made),
        }

    acts: dict[str, Callable[[], str]] = {"archive": archive, "merge": merge, "split": split}
    act = acts.get(request.POST.get("act", ""))
    if act is None:
        raise ValidationError(_("Choose what to do with the label. Nothing was changed."), code="unknown_act")
    return act()


def _page(
    request: HttpRequest,
    dataset: Dataset,
    labels: list[Label],
    label: Label | None,
    errors: list[str] | None = None,
) -> HttpResponse:
    prompts = prompts_of(current_prompt_set(dataset))
    preview = ""
    if label is not None:
        preview = effects_sentence(effects_of([label])[0], len(prompts.get(label.pk, [])))
    context = {
        "dataset": dataset,
        "section": "labels",
        "labels": labels,
        "label": label,
        "others": [one for one in labels if one != label],
        "preview": preview,
        "errors": errors or [],
        "names": request.POST.get("names", ""),
    }
    return render(request, "labeling/reorganise.html", context, status=422 if errors else 200)
