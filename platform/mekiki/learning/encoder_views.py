"""Views of a dataset's encoder: show it, prepare another, switch over, and take the switch back."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from mekiki.accounts.access import includes_role
from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset
from mekiki.datasets.selectors import image_count
from mekiki.jobs import progress
from mekiki.jobs.models import Kind
from mekiki.learning import selectors, services
from mekiki.learning.access import change_for, embedded_for
from mekiki.learning.encoder_catalogue import recommended
from mekiki.learning.encoder_forms import EncoderForm, prompt_language, reported_device, size_in_words
from mekiki.learning.encoder_names import folder_names
from mekiki.learning.models import EncoderChange

HISTORY = 10


@require_safe
def encoder(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the page of the dataset's encoder."""
    return _page(request, dataset_for(user_of(request), slug), EncoderForm())


def _page(request: HttpRequest, dataset: Dataset, form: EncoderForm, status: int = 200) -> HttpResponse:
    in_use = selectors.encoder_in_use(dataset)
    counts = selectors.embedded_counts(dataset)
    changes = list(selectors.encoder_changes(dataset)[:HISTORY])
    current = next((change for change in changes if change.state in EncoderChange.OPEN), None)
    latest = changes[0] if changes else None
    language, device = prompt_language(dataset, get_language() or "en"), reported_device()
    context = {
        "dataset": dataset,
        "section": "models",
        "may_change": includes_role(dataset.role, Role.ADMIN),
        "in_use": in_use,
        "images": image_count(dataset),
        "embedded": {encoder.pk: n for encoder, n in counts}.get(in_use.pk, 0) if in_use else 0,
        "unreadable": selectors.unreadable_by(dataset, in_use) if in_use else 0,
        "change": current,
        "failed": latest if latest is not None and latest.state == EncoderChange.State.FAILED else None,
        "switched": _current_switch(changes),
        "jobs": [
            job
            for job in progress.active_jobs_of(dataset)
            if job.kind in {Kind.CHANGE_ENCODER, Kind.REMOVE_EMBEDDINGS, Kind.ENCODE}
        ],
        "recommended": _recommended(dataset, device, language),
        "device": device,
        "language": language,
        "folders": [name for name in folder_names() if name != dataset.encoder_name],
        "differences": list(selectors.worker_differences(dataset)),
        "workers": list(selectors.worker_reports()),
        "form": form,
        "kept": [
            (encoder, n, selectors.embedding_bytes(encoder, n), services.removal_obstacle(dataset, encoder))
            for encoder, n in counts
            if in_use is None or encoder.pk != in_use.pk
        ],
        "history": changes,
    }
    return render(request, "learning/encoder.html", context, status=status)


def _current_switch(changes: list[EncoderChange]) -> tuple[EncoderChange, str] | None:
    """Return the change that introduced the encoder in use, and why it cannot be taken back.

    The reason is "" if the change can be taken back. The result is None if no such change exists.
    """
    switched = next((c for c in changes if c.state == EncoderChange.State.SWITCHED), None)
    if switched is None or switched.to_name != switched.dataset.encoder_name:
        return None
    return switched, services.revert_obstacle(switched)


def _recommended(dataset: Dataset, device: str, language: str) -> list[dict[str, Any]]:
    """Return the catalogue, ordered for the machine and the prompts, as rows for the template.

    The first row is marked as the recommendation. It has a free licence.
    """
    rows = [
        {
            "item": item,
            "size": size_in_words(item),
            "in_use": dataset.encoder_name in {item.name, *item.variant_names},
            "names": [name for name in (item.name, *item.variant_names) if name != dataset.encoder_name],
            "fits": device in item.devices,
        }
        for item in recommended(device, language)
    ]
    rows[0]["first"] = True
    return rows


@require_POST
def change(request: HttpRequest, slug: str) -> HttpResponse:
    """Prepare another encoder while the encoder in use stays active."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    form = EncoderForm(request.POST)
    if form.is_valid():
        try:
            services.request_change(dataset=dataset, name=form.cleaned_data["name"], user=user_of(request))
        except ValidationError as error:
            form.add_error("name", error)
        else:
            messages.success(
                request,
                _(
                    "The encoder is being prepared. The encoder in use still works; this page shows "
                    "the progress."
                ),
            )
            return redirect("encoder", slug)
    return _page(request, dataset, form, status=422)


def _act(request: HttpRequest, slug: str, pk: int, act: Callable[..., Any], done: str) -> HttpResponse:
    change = change_for(user_of(request), slug, pk)
    try:
        act(change=change, user=user_of(request))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, done)
    return redirect("encoder", slug)


@require_POST
def switch(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Start the switch to a prepared encoder."""
    done = _(
        "The switch is in progress: images that arrived since are processed first, then everything "
        "changes at once."
    )
    return _act(request, slug, pk, services.request_switch, done)


@require_POST
def take_back(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Start the return to the previous encoder."""
    done = _(
        "The change is being reverted: images that arrived since are processed first, then "
        "everything returns at once."
    )
    return _act(request, slug, pk, services.request_revert, done)


@require_POST
def cancel(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Cancel a change, or stop the step that is running."""
    return _act(request, slug, pk, services.cancel_change, _("Stopped. The encoder in use stays."))


@require_POST
def remove(request: HttpRequest, slug: str, encoder_id: int) -> HttpResponse:
    """Start the removal of the embeddings of an encoder that is not in use."""
    dataset, encoder = embedded_for(user_of(request), slug, encoder_id)
    try:
        services.request_removal(dataset=dataset, encoder=encoder, user=user_of(request))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, _("The embeddings are being removed."))
    return redirect("encoder", slug)
