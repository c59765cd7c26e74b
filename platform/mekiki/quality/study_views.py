"""Pages of a study: its design, its preview and progress, its report, and the station of a reviewer."""

import json
import unicodedata
from collections import Counter
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.datasets.access import dataset_for
from mekiki.datasets.checked_files import ChangedFileError, open_checked
from mekiki.jobs.progress import job_status
from mekiki.labeling.keys import key_of
from mekiki.quality import selectors, services
from mekiki.quality.access import invitation_for, report_file_for, study_for
from mekiki.quality.choosing import left_out_count
from mekiki.quality.figures import Figures
from mekiki.quality.forms import StudyForm
from mekiki.quality.messages import study_texts
from mekiki.quality.models import Study, StudyReport
from mekiki.quality.report_sections import answer_words
from mekiki.quality.report_words import report_document
from mekiki.review.adjustments import LEAST, MOST
from mekiki.review.blinding import neutral_name
from mekiki.review.messages import station_texts
from mekiki.review.preference_views import preference_context
from mekiki.review.preferences import current_preferences


@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the form for a new study, and create the draft, whose page is the preview."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    form = StudyForm(request.POST if request.method == "POST" else None, dataset=dataset)
    if request.method == "POST" and form.is_valid():
        try:
            study = services.create_study(dataset=dataset, user=user_of(request), **form.cleaned_data)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return redirect("study", slug, study.number)
    context = {"dataset": dataset, "section": "quality", "form": form}
    return render(request, "quality/study_create.html", context, status=422 if form.errors else 200)


@require_safe
def study(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Show a study to an admin: the preview of a draft, the progress, or the report."""
    shown = study_for(user_of(request), slug, number)
    context: dict[str, Any] = {
        "dataset": shown.dataset,
        "section": "quality",
        "study": shown,
        "people": selectors.reviewer_progress(shown),
    }
    if shown.state == Study.State.DRAFT:
        context |= _preview(shown)
    if shown.state == Study.State.FINISHED:
        context |= _report(shown)
    return render(request, "quality/study.html", context)


def _preview(shown: Study) -> dict[str, Any]:
    images = list(shown.images.select_related("image", "drawn_for", "reference_label"))
    by_label = Counter(row.drawn_for.name for row in images if row.drawn_for is not None)
    return {
        "images": images,
        "by_label": sorted(by_label.items()),
        "hard": sum(row.near_boundary for row in images),
        "left_out": left_out_count(shown.dataset),
        "answers": len(images) * shown.runs,
    }


def _report(shown: Study) -> dict[str, Any]:
    reports = list(StudyReport.objects.filter(study=shown).order_by("-version")[:10])
    job = None
    if shown.job is not None:
        shown.job.dataset = shown.dataset
        job = job_status(shown.job, shown.dataset.role)
    if not reports:
        return {"job": job}
    newest = reports[0]
    figures = Figures.of(newest.figures)
    document = report_document(
        figures,
        digest=newest.digest,
        version=newest.version,
        software=newest.software,
        created_at=newest.created_at,
    )
    differing = [
        {
            "sha256": image.sha256,
            "name": neutral_name(image.sha256),
            "reference": answer_words(figures, image.reference) if figures.has_reference else "",
            "answers": [
                (reviewer.name, " / ".join(answer_words(figures, answer) for answer in runs))
                for reviewer, runs in zip(figures.reviewers, image.answers, strict=True)
            ],
        }
        for image in figures.differing
    ]
    return {
        "job": job if job is not None and job.active else None,
        "report": newest,
        "document": document,
        "differing": differing,
        "earlier": reports[1:],
        "languages": settings.LANGUAGES,
        "language": (get_language() or "en").split("-")[0],
    }


# The acts of the page's forms, with the message of success.
ACTS = {
    "redraw": services.redraw,
    "cancel": services.cancel,
    "finish": services.finish,
    "report": services.request_report,
}


@require_POST
def act(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Do one act of an admin on a study."""
    shown, user, name = (
        study_for(user_of(request), slug, number),
        user_of(request),
        request.POST.get("act", ""),
    )
    try:
        if name == "start":
            services.start(study=shown, user=user, reference_confirmed="reference_confirmed" in request.POST)
        elif name in ACTS:
            ACTS[name](study=shown, user=user)
        else:
            raise ValidationError(_("This action does not exist. Nothing was changed; reload the page."))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, _success(name))
    return redirect("study", slug, number)


def _success(name: str) -> str:
    return {
        "redraw": _("Other images were drawn."),
        "start": _("The study has started. The reviewers find it in the section “Quality”."),
        "cancel": _("The study was cancelled."),
        "finish": _("The study has finished. The report is being computed."),
        "report": _("The report is being computed again."),
    }[name]


@require_safe
def report_file(
    request: HttpRequest, slug: str, number: int, version: int, language: str
) -> HttpResponse | FileResponse:
    """Send the PDF of a report, after a check of its hash."""
    file = report_file_for(user_of(request), slug, number, version, language)
    shown = study_for(user_of(request), slug, number)
    try:
        content = open_checked(
            name=file.name,
            sha256=file.sha256,
            dataset=shown.dataset,
            kind="study.file_changed",
            object_id=f"study {number} v{version} {language}",
        )
    except (FileNotFoundError, ChangedFileError):
        messages.error(
            request,
            _(
                "The file of this report in the storage is missing or was changed. It was not delivered. "
                "Compute the report again."
            ),
        )
        return redirect("study", slug, number)
    name = f"{slug}-study-{number}-v{version}-{language}.pdf"
    response = FileResponse(content, as_attachment=True, filename=name)
    response["Content-Type"] = "application/pdf"
    response["Cache-Control"] = "private, no-store"
    return response


@never_cache
@require_safe
def station(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Show the station of a study. After the first page load, all data comes through the API."""
    invitation = invitation_for(user_of(request), slug, number)
    shown = invitation.study
    rows = list(shown.labels.select_related("label"))
    labels = [
        {
            "id": row.label_id,
            "name": row.label.name,
            "critical": row.critical,
            "none": row.label.is_none,
            "guideline": row.label.shown_guideline,
            "key": key_of(row.position),
        }
        for row in sorted(rows, key=lambda row: row.label.is_none)
    ]
    # As in the review station: if a label has no key, letters search for a label.
    finder = any(label["key"] is None for label in labels)
    if finder and any(unicodedata.normalize("NFKC", str(label["name"]))[:1].isdigit() for label in labels):
        labels = [{**label, "key": None} for label in labels]
    return render(
        request,
        "quality/station.html",
        {
            "dataset": shown.dataset,
            "section": "quality",
            "study": shown,
            "labels_json": json.dumps(labels),
            "texts_json": json.dumps(station_texts() | study_texts()),
            "seen_after": shown.dataset.min_display_ms,
            **preference_context(current_preferences(user_of(request))),
            "adjustment_limits": (str(LEAST), str(MOST)),  # text: no decimal comma
            "finder": finder,
            "skip_key": "Shift+→" if finder else "S",
            "guide_key": "F2" if finder else "G",
            "help_key": "F1" if finder else "?",
        },
    )
