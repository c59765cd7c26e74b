"""Daily goals: how many answers an admin asks of a member for each day, and how many were given today."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, Exists, OuterRef
from django.utils import timezone

from mekiki.accounts.models import Membership, User
from mekiki.datasets.models import Dataset
from mekiki.review.models import Decision
from mekiki.review.selectors import ANSWERS, answered_today


@dataclass(frozen=True)
class DailyGoal:
    """The goal of a member and the answers of today, without skips and undone answers."""

    goal: int
    done: int

    @property
    def percent(self) -> int:
        """Return the progress in percent, at most 100."""
        return min(100, self.done * 100 // self.goal)

    @property
    def reached(self) -> bool:
        return self.done >= self.goal


def daily_goal(dataset: Dataset, user: User) -> DailyGoal | None:
    """Return the daily goal of a member with its progress, or None if the member has none."""
    goals = Membership.objects.filter(dataset=dataset, user=user, daily_goal__isnull=False)
    goal = goals.values_list("daily_goal", flat=True).first()
    return None if goal is None else DailyGoal(goal, answered_today(dataset, user))


def answers_of_today(dataset: Dataset, users: Iterable[int]) -> dict[int, int]:
    """Return user id → answers since midnight, without skips and undone answers, in one query."""
    return _answers(dataset=dataset, user__in=list(users))


def own_goals(datasets: Iterable[int], user: User) -> dict[int, DailyGoal]:
    """Return dataset id → daily goal of the user with its progress, in at most two queries."""
    rows = Membership.objects.filter(user=user, dataset__in=list(datasets), daily_goal__isnull=False)
    goals = {pk: goal for pk, goal in rows.values_list("dataset_id", "daily_goal") if goal is not None}
    if not goals:
        return {}
    done = _answers("dataset_id", user=user, dataset__in=list(goals))
    return {pk: DailyGoal(goal, done.get(pk, 0)) for pk, goal in goals.items()}


def _answers(by: str = "user_id", **where: object) -> dict[int, int]:
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    undone = Decision.objects.filter(supersedes=OuterRef("pk"))
    rows = Decision.objects.filter(~Exists(undone), created_at__gte=midnight, kind__in=ANSWERS, **where)
    return dict(rows.order_by().values_list(by).annotate(n=Count("pk")))
