"""Views of the page with the queue, the skipped and flagged images, and the audit sample."""

import uuid
from collections import Counter
from collections.abc import Callable

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from mekiki.accounts.access import includes_role, is_adjudicator
from mekiki.accounts.http import parse_number, user_of
from mekiki.accounts.models import Role
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset
from mekiki.labeling.selectors import active_labels
from mekiki.review import selectors, services, unresolved
from mekiki.review.blinding import set_shown_attributes
from mekiki.review.disputes import disputed_items
from mekiki.review.errors import NotFoundForReviewerError, ReviewError
from mekiki.review.models import Decision
from mekiki.review.streams import stream_words

# The acts of the form, with the message of success.
ANSWER, SEND, SET_ASIDE, RETURN = "answer", "send", "set_aside", "return"


@require_GET
def queue(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the queue by stream, the skipped and flagged images by reason, and the audit sample."""
    user = user_of(request)
    dataset = dataset_for(user, slug)
    counts = selectors.queue_counts(dataset)
    may_act = includes_role(dataset.role, Role.ADMIN)
    groups = unresolved.unresolved_groups(dataset, show_hidden=may_act)
    group = next((g for g in groups if g.code == request.GET.get("group")), groups[0] if groups else None)
    rows: list[Decision] = []
    after = None
    if group is not None:
        asked = parse_number(request.GET.get("after", ""))
        rows, after = unresolved.unresolved_page(dataset, group.code, show_hidden=may_act, after=asked)
    set_shown_attributes(dataset, [row.image for row in rows])
    return render(
        request,
        "review/queue.html",
        {
            "dataset": dataset,
            "section": "review",
            "streams": [(stream_words(stream), n) for stream, n in counts.items() if n],
            "waiting": sum(counts.values()),
            "groups": groups,
            "group": group,
            "rows": rows,
            "assigned": unresolved.assigned_names(dataset, [row.image_id for row in rows]),
            # A reason and a note can reveal the label. Only their writer and admins, who must act, see them.
            "closed": {row.pk for row in rows if row.image.hidden and row.user_id != user.pk and not may_act},
            "show_reason": group is not None and "-" not in group.code,
            "older_url": f"?group={group.code}&after={after}" if group and after else "",
            "newer_url": f"?group={group.code}" if group and request.GET.get("after") else "",
            "may_act": may_act,
            "labels": list(active_labels(dataset)) if may_act and rows else [],
            "reviewers": list(unresolved.reviewers_of(dataset)) if may_act and rows else [],
            "form_key": uuid.uuid4(),
            "audited": selectors.audit_count(dataset),
            "may_review": includes_role(dataset.role, Role.REVIEWER),
            "disputed": disputed_items(dataset).count(),
            "may_rule": is_adjudicator(user, dataset),
        },
    )


@require_POST
def act(request: HttpRequest, slug: str) -> HttpResponse:
    """Do one act with the selected skipped and flagged images, or with the one of a card's button."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    name, ids = request.POST.get("act", ""), request.POST.getlist("decision")
    if one := request.POST.get("one"):
        name, _sign, pk = one.partition(":")
        ids = [pk]
    # A page has at most PAGE_SIZE images; more ids are not from the form.
    numbers = [n for n in map(parse_number, ids[: unresolved.PAGE_SIZE]) if n is not None]
    service = _service(request, dataset, name)
    if service is None:
        messages.error(request, _("Choose a label or a reviewer first. Nothing was changed."))
    elif not numbers:
        messages.error(request, _("No image is selected. Nothing was changed; select an image first."))
    else:
        _run(request, name, service, dict.fromkeys(numbers))
    group = request.POST.get("group", "")
    query = f"?group={group}" if group in unresolved.GROUPS else ""
    return redirect(f"{reverse('review-queue', args=[dataset.slug])}{query}")


def _service(request: HttpRequest, dataset: Dataset, name: str) -> Callable[[int], object] | None:
    """Return a function that does the act with the image of a decision, or None if a choice is missing."""
    user = user_of(request)
    label, reviewer = (parse_number(request.POST.get(field, "")) for field in ("label", "reviewer"))
    if name == ANSWER and label is not None:
        key = _form_key(request)
        return lambda pk: services.answer_unresolved(
            dataset=dataset,
            user=user,
            decision_id=pk,
            label_id=label,
            # The key of the form and the decision: a form that is sent twice records one answer.
            client_key=uuid.uuid5(key, str(pk)),
        )
    if name == SEND and reviewer is not None:
        return lambda pk: services.send_to_reviewer(
            dataset=dataset, user=user, decision_id=pk, reviewer_id=reviewer
        )
    if name == SET_ASIDE:
        return lambda pk: services.set_aside(dataset=dataset, user=user, decision_id=pk)
    if name == RETURN:
        return lambda pk: services.return_to_queue(dataset=dataset, user=user, decision_id=pk)
    return None


def _form_key(request: HttpRequest) -> uuid.UUID:
    try:
        return uuid.UUID(request.POST.get("client_key", ""))
    except ValueError:
        return uuid.uuid4()


def _run(request: HttpRequest, name: str, service: Callable[[int], object], ids: dict[int, None]) -> None:
    """Do the act with each image in its own transaction, and report what was done and what was refused."""
    done, refused = 0, Counter[str]()
    for pk in ids:
        try:
            service(pk)
            done += 1
        except NotFoundForReviewerError as error:
            if len(ids) == 1:
                raise Http404 from error
            refused[error.message] += 1
        except ReviewError as error:
            refused[error.message] += 1
    if done:
        messages.success(request, _done_text(name, done))
    for text, n in refused.items():
        messages.error(request, f"{text} ({n})" if n > 1 else text)


def _done_text(name: str, n: int) -> str:
    text = {
        ANSWER: ngettext(
            "%(n)d image was answered. You can undo the answer on the page of the image.",
            "%(n)d images were answered. You can undo each answer on the page of its image.",
            n,
        ),
        SEND: ngettext(
            "%(n)d image was sent. It waits for this reviewer only until you return it to the queue.",
            "%(n)d images were sent. They wait for this reviewer only until you return them to the queue.",
            n,
        ),
        SET_ASIDE: ngettext(
            "%(n)d image was set aside. Nobody reviews it until you return it to the queue.",
            "%(n)d images were set aside. Nobody reviews them until you return them to the queue.",
            n,
        ),
        RETURN: ngettext(
            "%(n)d image was returned to the start of the queue.",
            "%(n)d images were returned to the start of the queue.",
            n,
        ),
    }[name]
    return text % {"n": n}


@require_POST
def retire(request: HttpRequest, slug: str) -> HttpResponse:
    """Move the audit sample into training. The page asks the admin to confirm this before."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    moved = services.retire_audit(dataset=dataset, user=user_of(request))
    if moved:
        messages.success(
            request,
            ngettext(
                "%(n)d audited label is used for training from now on. The audit starts again.",
                "%(n)d audited labels are used for training from now on. The audit starts again.",
                moved,
            )
            % {"n": moved},
        )
    else:
        messages.info(request, _("There are no audited labels to retire."))
    return redirect("review-queue", dataset.slug)
