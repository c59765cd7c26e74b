"""The page of the labels that came with an import: what they stand for, and how they compare. For admins."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from mekiki.accounts.http import parse_number, user_of
from mekiki.datasets.access import import_for
from mekiki.datasets.models import ImportBatch
from mekiki.labeling.selectors import active_labels
from mekiki.review.imported import comparison, names_of
from mekiki.review.services.imported import add_missing_labels, map_label_names, set_label_use

# Names on the page. A schema has fewer labels; further names come from a wrong column.
MAX_SHOWN = 300


@require_safe
def imported_labels(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Show the names of the labels of an import with the labels of the schema that they stand for."""
    batch = import_for(user_of(request), slug, pk)
    names = list(names_of(batch)[:MAX_SHOWN])
    context = {
        "dataset": batch.dataset,
        "section": "images",
        "batch": batch,
        "names": names,
        "more": max(0, batch.label_names.count() - len(names)),  # type: ignore[attr-defined]
        "labels": list(active_labels(batch.dataset)),
        "unknown": sum(name.label_id is None for name in names),
        "comparison": comparison(batch),
        "uses": [use for use in ImportBatch.LabelUse if use != ImportBatch.LabelUse.IGNORE],
    }
    return render(request, "review/imported_labels.html", context)


@require_POST
def act(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Do one act: save which labels the names stand for, add missing labels, or change the use."""
    batch = import_for(user_of(request), slug, pk)
    user = user_of(request)
    try:
        if "add" in request.POST:
            n = len(add_missing_labels(batch=batch, user=user))
            text = ngettext("%(n)d label was added.", "%(n)d labels were added.", n) % {"n": n}
        elif "use" in request.POST:
            set_label_use(batch=batch, user=user, use=request.POST["use"])
            text = _("The use of the labels is saved.")
        else:
            chosen = {
                int(key.removeprefix("name-")): parse_number(str(value))
                for key, value in request.POST.items()
                if key.startswith("name-") and key.removeprefix("name-").isdecimal()
            }
            map_label_names(batch=batch, user=user, labels=chosen)
            text = _("The labels are saved.")
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, text)
    return redirect("import-labels", slug, pk)
