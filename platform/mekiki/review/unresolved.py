"""Skipped and flagged images that nobody has labelled since, grouped by reason."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Case, Count, Exists, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Concat
from django.utils.translation import gettext as _

from mekiki.accounts.models import Membership, Role, User
from mekiki.config.keyset import page_by
from mekiki.datasets.models import Dataset, Image
from mekiki.review.blinding import hidden_condition
from mekiki.review.models import FLAG_REASONS, SKIP_REASONS, ConfirmedLabel, Decision, QueueItem, Reason
from mekiki.review.selectors import active_decisions, without_tests

KINDS = (Decision.Kind.FLAG, Decision.Kind.SKIP)
SENT, SET_ASIDE, HIDDEN = "sent", "set_aside", "hidden"
PAGE_SIZE = 48
_CODES = [f"skip-{reason}" for reason in (*SKIP_REASONS, "")] + [
    f"flag-{reason}" for reason in (*FLAG_REASONS, "")
]
# All groups, in the order of the page.
GROUPS = [*_CODES, HIDDEN, SENT, SET_ASIDE]


@dataclass(frozen=True)
class Group:
    """The images of one group: its code, its name and the number of images."""

    code: str
    name: str
    count: int


def group_name(code: str) -> str:
    """Return the name of a group in the reader's language."""
    named = {
        HIDDEN: _("Audit sample: reason hidden"),
        SENT: _("Sent to a reviewer"),
        SET_ASIDE: _("Set aside"),
        "skip-": _("Skipped: no reason"),
        "flag-": _("Flagged: no reason"),
    }
    if code in named:
        return named[code]
    kind, _sign, reason = code.partition("-")
    text = _("Skipped: %(reason)s") if kind == Decision.Kind.SKIP else _("Flagged: %(reason)s")
    return text % {"reason": Reason(reason).label}


def unresolved_decisions(dataset: Dataset) -> QuerySet[Decision]:
    """Return the valid skips and flags on images that nobody has labelled since.

    Answers that measure a reviewer are left out: the image has a known label or an earlier decision.
    A late skip is left out if the image has a label, because another reviewer judged the image instead.
    """
    labels = ConfirmedLabel.objects.filter(image=OuterRef("image"))
    rows = without_tests(active_decisions(dataset=dataset, kind__in=KINDS))
    rows = rows.filter(~Exists(labels.filter(decision__gt=OuterRef("pk"))))
    return rows.exclude(Q(Exists(labels), kind=Decision.Kind.SKIP, late=True))


def unresolved_images(dataset: Dataset, *, show_hidden: bool) -> QuerySet[Any]:
    """Return the newest unresolved decision of each image, annotated with its `group`.

    show_hidden: False puts images that must be judged blind into a group of their own, because a reason can
    reveal the label.
    """
    newer = without_tests(active_decisions(image=OuterRef("image"), kind__in=KINDS, pk__gt=OuterRef("pk")))
    items = QueueItem.objects.filter(image=OuterRef("image"))
    sent = items.filter(state=QueueItem.State.WAITING, assigned_to__isnull=False)
    groups = [
        When(Exists(items.filter(state=QueueItem.State.SET_ASIDE)), then=Value(SET_ASIDE)),
        When(Exists(sent), then=Value(SENT)),
    ]
    if not show_hidden:
        hidden = Image.objects.filter(hidden_condition(dataset), pk=OuterRef("image"))
        groups.append(When(Exists(hidden), then=Value(HIDDEN)))
    return (
        unresolved_decisions(dataset)
        .filter(~Exists(newer))
        .annotate(group=Case(*groups, default=Concat("kind", Value("-"), "reason")))
    )


def unresolved_groups(dataset: Dataset, *, show_hidden: bool) -> list[Group]:
    """Return the groups that have images, in the order of GROUPS."""
    rows = unresolved_images(dataset, show_hidden=show_hidden).order_by().values_list("group")
    counts = dict(rows.annotate(n=Count("pk")))
    return [Group(code, group_name(code), counts[code]) for code in GROUPS if code in counts]


def unresolved_page(
    dataset: Dataset, group: str, *, show_hidden: bool, after: int | None = None
) -> tuple[list[Decision], int | None]:
    """Return one page of a group, newest first, and the key of the next page or None."""
    rows = unresolved_images(dataset, show_hidden=show_hidden).filter(group=group)
    rows = rows.select_related("image", "user")
    return page_by(rows, "pk", PAGE_SIZE, after=after, descending=True)


def assigned_names(dataset: Dataset, image_ids: list[int]) -> dict[int, str]:
    """Return image id → name of the reviewer to whom the image was sent."""
    rows = QueueItem.objects.filter(
        dataset=dataset,
        image__in=image_ids,
        state=QueueItem.State.WAITING,
        assigned_to__isnull=False,
    )
    return dict(rows.values_list("image_id", "assigned_to__username"))


def reviewers_of(dataset: Dataset) -> QuerySet[User]:
    """Return the active users who review the dataset as members, by name."""
    members = Membership.objects.filter(dataset=dataset, role__in=[Role.REVIEWER, Role.ADMIN])
    return User.objects.filter(pk__in=members.values("user"), is_active=True).order_by("username")
