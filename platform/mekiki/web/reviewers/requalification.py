"""Views of the requalification test: guidelines, questions one at a time, and the result."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from mekiki.accounts.http import parse_number, user_of
from mekiki.accounts.models import Role
from mekiki.datasets.access import dataset_for
from mekiki.labeling.keys import key_of
from mekiki.labeling.selectors import active_labels
from mekiki.review import services
from mekiki.review.errors import ReviewError
from mekiki.review.models import Requalification
from mekiki.review.preference_views import preference_context
from mekiki.review.preferences import current_preferences
from mekiki.review.references import guides_of
from mekiki.review.requalification import missed_labels, next_question


@never_cache
@require_safe
def requalification(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the reviewer's test: the guidelines before it, then its next question, then its result."""
    user = user_of(request)
    dataset = dataset_for(user, slug, Role.REVIEWER)
    services.check_requalification(dataset=dataset, user=user)
    test = Requalification.objects.filter(dataset=dataset, user=user).order_by("-pk").first()
    if test is None:
        raise Http404
    question = next_question(test) if test.state == Requalification.State.RUNNING else None
    labels = sorted(active_labels(dataset), key=lambda label: label.is_none)
    context = {
        "dataset": dataset,
        "section": "review",
        "test": test,
        "question": question,
        "answered": test.questions.filter(answer__isnull=False).count() if question else 0,
        "labels": [(label, key_of(label.position)) for label in labels],
        "guides": [] if question else guides_of(dataset),
        "missed": missed_labels(test) if test.state == Requalification.State.FAILED else [],
    }
    context |= preference_context(current_preferences(user))
    return render(request, "web/requalification.html", context)


@require_POST
def begin_requalification(request: HttpRequest, slug: str) -> HttpResponse:
    """Begin the test."""
    dataset = dataset_for(user_of(request), slug, Role.REVIEWER)
    try:
        services.begin_test(dataset=dataset, user=user_of(request))
    except ReviewError as error:
        messages.error(request, error.message)
    return redirect("requalification", slug)


@require_POST
def answer_test(request: HttpRequest, slug: str) -> HttpResponse:
    """Record the answer to a question of the test."""
    dataset = dataset_for(user_of(request), slug, Role.REVIEWER)
    question, label = (parse_number(request.POST.get(name, "")) for name in ("question", "label"))
    try:
        services.answer_question(
            dataset=dataset, user=user_of(request), question_id=question or 0, label_id=label or 0
        )
    except ReviewError as error:
        messages.error(request, error.message)
    return redirect("requalification", slug)
