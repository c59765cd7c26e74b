"""Views of the label sets page: list, freeze, retry, download, and the public key."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from mekiki.accounts.access import includes_role
from mekiki.accounts.http import parse_number, user_of
from mekiki.accounts.models import Role
from mekiki.audit.keys import current_key
from mekiki.datasets.access import dataset_for
from mekiki.datasets.checked_files import ChangedFileError
from mekiki.datasets.models import Dataset
from mekiki.exports import selectors, services
from mekiki.exports.access import label_set_for
from mekiki.exports.facts import (
    accuracy_facts,
    critical_since_sentences,
    machine_counts,
    once_critical_sentences,
)
from mekiki.exports.forms import FreezeForm
from mekiki.exports.machine_facts import later_sentences, machine_sentence, stopped_sentences, stopped_since
from mekiki.exports.models import LabelSet
from mekiki.exports.view_images import contents_sentence, excluded_sentence
from mekiki.jobs.models import State
from mekiki.jobs.progress import job_status
from mekiki.labeling.models import Label
from mekiki.learning.accuracy import AuditCounts
from mekiki.learning.left_out import describe_images
from mekiki.review.audit_counts import audit_counts
from mekiki.review.exclusions import excluded_count


@require_http_methods(["GET", "HEAD", "POST"])
def exports(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the dataset's label sets. An admin requests the next label set here."""
    needed = Role.ADMIN if request.method == "POST" else Role.VIEWER
    dataset = dataset_for(user_of(request), slug, needed)
    head = selectors.calibrated_champion(dataset)
    certificates = selectors.certificates_with_labels(dataset)
    certificate = selectors.certificate_in_use(certificates)
    form = FreezeForm(
        request.POST if request.method == "POST" else None,
        dataset=dataset,
        head=head,
        certificate=certificate,
        initial={"view": parse_number(request.GET.get("view", ""))},
    )
    if request.method == "POST" and form.is_valid():
        try:
            label_set = services.freeze(dataset=dataset, user=user_of(request), **form.cleaned_data)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            messages.success(
                request,
                _("Label set %(version)s is being written. You may leave this page.")
                % {"version": label_set.version},
            )
            return redirect("exports", slug)
    before = request.GET.get("before", "")
    newest_first, more = selectors.label_sets(dataset, before=parse_number(before))
    human = selectors.human_label_count(dataset)
    excluded = excluded_count(dataset)
    context = {
        "dataset": dataset,
        "section": "exports",
        "rows": _rows(newest_first, dataset),
        "older_url": f"?before={more}" if more else "",
        "newer_url": "?" if before else "",
        "form": form,
        "chosen": describe_images("", form["query"].value()) if form["query"].value() else "",
        "may_freeze": includes_role(dataset.role, Role.ADMIN),
        "human": human,
        "possible": bool(human or head or certificate),
        "left_out": [
            *([excluded_sentence(excluded)] if excluded else []),
            *later_sentences(certificate),
            *stopped_sentences(certificates),
        ],
        "fingerprint": selectors.key_fingerprint(),
    }
    return render(request, "exports/exports.html", context, status=422 if form.errors else 200)


def _rows(label_sets: list[Any], dataset: Dataset) -> list[dict[str, Any]]:
    counts = audit_counts(dataset) if label_sets else AuditCounts()
    labels = list(Label.objects.filter(dataset=dataset, critical=True))
    rows = []
    for label_set in label_sets:
        machine = label_set.machine_by_label
        if machine is None and label_set.machine_labels and labels:
            machine = machine_counts(label_set.pk)  # an older set does not store these counts
        by_label = {int(label_id): n for label_id, n in (machine or {}).items()}
        rows.append(
            {
                **_row(label_set, dataset),
                "machine": machine_sentence(label_set.machine),
                "contents": contents_sentence({"view": label_set.view, "excluded": label_set.excluded}),
                "stopped": stopped_since(label_set),
                "accuracy": accuracy_facts(label_set.accuracy or {}, counts),
                "critical": once_critical_sentences(label_set.once_critical or [])
                + critical_since_sentences(by_label, labels),
            }
        )
    return rows


def _row(label_set: LabelSet, dataset: Dataset) -> dict[str, Any]:
    """Return a label set as the page shows it. If its job ended without freezing it, it has failed."""
    job = label_set.job
    ended = job is None or job.state in (State.FAILED, State.CANCELLED, State.SUCCEEDED)
    failed = label_set.state != LabelSet.State.FROZEN and ended
    shown = None
    if job is not None and label_set.state != LabelSet.State.FROZEN:
        job.dataset = dataset
        shown = job_status(job, getattr(dataset, "role", None))
    frozen = label_set.state == LabelSet.State.FROZEN
    label_set.dataset = dataset
    return {
        "set": label_set,
        "failed": failed,
        "job": shown,
        "closed": frozen and selectors.is_closed_to(getattr(dataset, "role", None), label_set),
    }


@require_POST
def retry(request: HttpRequest, slug: str, version: int) -> HttpResponse:
    """Request a label set again after its job failed or was cancelled."""
    label_set = label_set_for(user_of(request), slug, version, Role.ADMIN)
    try:
        services.retry(label_set=label_set, user=user_of(request))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, _("Label set %(version)s is tried again.") % {"version": label_set.version})
    return redirect("exports", slug)


@require_safe
def download(request: HttpRequest, slug: str, version: int) -> HttpResponse | FileResponse:
    """Send the zip of a frozen label set, and record who downloads it.

    Reviewers get status 403 while the file holds predictions that they must not see.
    """
    label_set = label_set_for(user_of(request), slug, version)
    services.check_download(label_set=label_set, user=user_of(request))
    if label_set.state != LabelSet.State.FROZEN:
        raise Http404
    try:
        file = services.open_file(label_set)
    except ChangedFileError:
        messages.error(
            request,
            _(
                "The file of label set %(version)s in the storage was changed: its hash differs from "
                "the record. It was not delivered, and the audit log records this. Restore the file "
                "from a backup, or freeze a new label set."
            )
            % {"version": version},
        )
        return redirect("exports", slug)
    except FileNotFoundError:
        messages.error(
            request,
            _(
                "The file of label set %(version)s is not in the storage any more. Its record and hash are "
                "kept; restore the file from a backup, or freeze a new label set."
            )
            % {"version": version},
        )
        return redirect("exports", slug)
    if request.method == "GET":
        services.record_download(label_set=label_set, user=user_of(request))
    response = FileResponse(file, as_attachment=True, filename=f"{slug}-v{version}.zip")
    response["Content-Type"] = "application/zip"
    response["Cache-Control"] = "private, no-store"
    return response


@require_safe
def key(request: HttpRequest, slug: str) -> HttpResponse:
    """Send the public key that this platform signs with. The status is 404 if there is no key."""
    dataset_for(user_of(request), slug)
    key_in_use = current_key()
    if key_in_use is None:
        raise Http404
    response = HttpResponse(key_in_use.public_pem, content_type="application/x-pem-file")
    response["Content-Disposition"] = 'attachment; filename="mekiki-public-key.pem"'
    return response
