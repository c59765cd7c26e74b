"""Views of all datasets, of a new dataset and of a dataset's overview."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.safestring import SafeString
from django.utils.translation import get_language, ngettext, pgettext
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from mekiki.accounts.access import require_may_create_datasets
from mekiki.accounts.http import user_of
from mekiki.datasets import services, slugs
from mekiki.datasets.access import archived_datasets, dataset_for, visible_datasets
from mekiki.datasets.models import Dataset
from mekiki.labeling.services import apply_starter, copy_schema
from mekiki.labeling.starters import starter
from mekiki.learning.accuracy import headline, support_sentence
from mekiki.learning.encoder_catalogue import prompt_languages
from mekiki.learning.encoder_forms import NewDatasetForm
from mekiki.learning.models import Evaluation
from mekiki.learning.selectors import learning_curve
from mekiki.web import charts
from mekiki.web.first_steps import first_steps
from mekiki.web.next_step import choose_next_step, facts_of
from mekiki.web.numbers import DatasetSummary, add_mosaics, dataset_summaries
from mekiki.web.problems import problems_of
from mekiki.web.templatetags.shell import count


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show the datasets a user may see, those that need people first."""
    summaries = dataset_summaries(visible_datasets(user_of(request)), user_of(request))
    add_mosaics(summaries)
    context = {
        "standings": summaries,
        "may_create": user_of(request).may_create_datasets or user_of(request).is_superuser,
        "has_archived": archived_datasets(user_of(request)).exists(),
    }
    return render(request, "web/home.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def create_dataset(request: HttpRequest) -> HttpResponse:
    """Create a dataset, then continue to its labels, or to the images if a template brought the labels.

    Raises PermissionDenied (403) for users who may not create datasets.
    """
    require_may_create_datasets(user_of(request))
    language = (get_language() or "en").split("-")[0]
    sources = visible_datasets(user_of(request)).filter(
        labels__archived_at__isnull=True, labels__isnull=False
    )
    form = NewDatasetForm(
        request.POST or None,
        initial={"encoder_name": "pocket", "template": "", "copy_from": request.GET.get("copy_from", "")},
        language=language,
        sources=list(sources.distinct().order_by("name", "pk")),
    )
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        template, source = starter(values.pop("template")), values.pop("copy_from", "")
        try:
            with transaction.atomic():
                dataset = services.create_dataset(user=user_of(request), **values)
                if source:
                    copy_schema(
                        dataset=dataset, source=dataset_for(user_of(request), source), user=user_of(request)
                    )
                elif template is not None:
                    reads = prompt_languages(dataset.encoder_name)
                    apply_starter(
                        dataset=dataset,
                        starter=template,
                        language=language,
                        reads=reads,
                        user=user_of(request),
                    )
        except ValidationError as error:
            form.add_error(None, error)
        else:
            if source:
                messages.success(
                    request, _("The dataset was created with the labels and prompts of the other dataset.")
                )
            elif template is not None:
                messages.success(request, _("The dataset was created with its labels. Next, add the images."))
                return redirect("import", dataset.slug)
            else:
                messages.success(request, _("The dataset was created. Next, define its labels and prompts."))
            return redirect("labels", dataset.slug)
    return render(request, "datasets/create.html", {"form": form})


@require_safe
def suggest_address(request: HttpRequest) -> JsonResponse:
    """Return a free address for a name, for the form of a new dataset.

    Raises PermissionDenied (403) for users who may not create datasets.
    """
    require_may_create_datasets(user_of(request))
    name = request.GET.get("name", "")[:120].replace("\0", "")
    return JsonResponse({"slug": slugs.free_suggestion(name)})


@require_safe
def overview(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the loop as one diagram, the learning curve and the next sensible action."""
    dataset = dataset_for(user_of(request), slug)
    standing = dataset_summaries([dataset], user_of(request))[0]
    step = choose_next_step(facts_of(dataset, standing))
    curve = [evaluation for evaluation in learning_curve(dataset) if evaluation.n]
    stations = loop_stations(standing)
    context = {
        "dataset": dataset,
        "section": "overview",
        "standing": standing,
        "jobs": standing.jobs,
        "step": step,
        "first_steps": first_steps(dataset, standing),
        "problems": problems_of(dataset),
        "stations": stations,
        "loop": charts.loop(
            stations,
            title=_("The loop"),
            description=", ".join(f"{s.label}: {s.shown}" for s in stations),
            back=_("each training improves the predictions"),
        ),
        "curve": curve,
        "curve_svg": curve_chart(dataset, curve),
    }
    return render(request, "web/overview.html", context)


def loop_stations(standing: DatasetSummary) -> list[charts.LoopStage]:
    """Return the five stages of the loop with the number of images at each."""
    return [
        charts.LoopStage(label, n, count(n))
        for label, n in (
            (pgettext("loop", "images"), standing.images),
            (pgettext("loop", "predicted"), standing.predicted),
            (pgettext("loop", "waiting"), standing.waiting),
            (pgettext("loop", "confirmed"), standing.confirmed),
            (pgettext("loop", "exported"), standing.exported),
        )
    ]


def curve_chart(dataset: Dataset, curve: list[Evaluation]) -> SafeString | str:
    """Return the learning curve; "" until accuracy has been measured once."""
    if not curve:
        return ""
    points = [charts.Point(e.answers, e.accuracy or 0.0, e.low, e.high) for e in curve]
    last = points[-1]
    description = ngettext(
        "After %(n)d answer: %(accuracy)s, %(support)s.",
        "After %(n)d answers: %(accuracy)s, %(support)s.",
        int(last.x),
    ) % {"n": last.x, "accuracy": headline(curve[-1]), "support": support_sentence(curve[-1])}
    return charts.learning_curve(
        points,
        title=_("Accuracy against answers given"),
        description=description,
        x_label=_("answers given"),
    )
