"""The draw of gold images and hidden repeats, which are mixed into the queue for one reviewer each.

They are drawn when the queue is filled, not when a reviewer asks for images. So a refill of leases costs
nothing more, and place, id and counts of such an item are those of any other item. See
docs/decisions/0043-tests-are-drawn-when-the-queue-is-filled.md.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import SystemRandom

from django.db.models import Exists, OuterRef, Q, QuerySet

from mekiki.accounts.models import User
from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.learning.models import Head
from mekiki.review.blinding import hidden_ids
from mekiki.review.models import (
    LABEL_KINDS,
    TEST_STREAMS,
    ConfirmedLabel,
    Decision,
    GoldImage,
    Lease,
    QueueItem,
    Stream,
)
from mekiki.review.selectors import active_decisions, is_excluded, without_tests
from mekiki.review.unresolved import reviewers_of

# A test that its reviewer has seen but not answered waits this long. Then the reviewer may get others.
TESTS_KEPT = timedelta(days=7)
# A reviewer's own image is repeated after at least this many later decisions of the reviewer.
REPEAT_AFTER_ANSWERS = 50
# Hidden repeats are drawn from this many of the latest decisions that are old enough.
REPEATS_FROM = 500
# The parts of the reviewers follow from this many latest decisions, and from logins in this time.
RECENT_DECISIONS = 1000
RECENT_LOGIN = timedelta(days=14)
# Not derived from the dataset's seed: a reviewer who knows the seed must not be able to recognize the tests.
_random = SystemRandom()


@dataclass(frozen=True)
class _Candidate:
    image: int
    gold: int | None = None
    repeats: int | None = None


def draw_tests(*, dataset: Dataset, head: Head, normal: list[QueueItem]) -> list[QueueItem]:
    """Return unsaved items of the test streams, at random places among the `normal` items.

    Each item is for one reviewer. Of the images that a reviewer judges, `Dataset.gold_share` are gold images
    and `Dataset.repeat_share` hidden repeats, if the reviewer takes the same part of the queue as lately.
    """
    shares = {Stream.GOLD: dataset.gold_share, Stream.REPEAT: dataset.repeat_share}
    if not normal or not any(shares.values()):
        return []
    now = clock.now()
    waiting = QueueItem.objects.filter(dataset=dataset, state=QueueItem.State.WAITING)
    busy = set(waiting.values_list("image_id", flat=True)) | {item.image_id for item in normal}
    first, last = normal[0].position, normal[-1].position
    tests = []
    for reviewer, part in _parts(dataset, now):
        judged = part * len(normal) / (1 - sum(shares.values()))
        for stream, share in shares.items():
            wanted = _rounded(judged * share)
            if not wanted:
                continue
            pool = [
                one
                for one in (_gold if stream == Stream.GOLD else _repeats)(dataset, reviewer, now)
                if one.image not in busy
            ]
            for one in _random.sample(pool, min(wanted, len(pool))):
                busy.add(one.image)
                tests.append(
                    QueueItem(
                        dataset=dataset,
                        image_id=one.image,
                        stream=stream,
                        propensity=min(1.0, wanted / len(pool)),
                        head=head,
                        position=_random.uniform(first - 0.5, last + 0.5),
                        overlap=1,
                        assigned_to=reviewer,
                        gold_id=one.gold,
                        repeats_id=one.repeats,
                    )
                )
    return tests


def _rounded(number: float) -> int:
    """Return the number rounded down or up at random, so that its expectation is the number."""
    return int(number) + (_random.random() < number - int(number))


def _parts(dataset: Dataset, now: datetime) -> Iterator[tuple[User, float]]:
    """Yield each active reviewer with the part of the queue (0 to 1) that this reviewer probably takes.

    A reviewer without a recent decision who logged in lately counts as one of equal reviewers.
    """
    latest = Decision.objects.filter(dataset=dataset).order_by("-pk")
    counts = Counter(latest.values_list("user_id", flat=True)[:RECENT_DECISIONS])
    reviewers = list(reviewers_of(dataset))
    total = sum(counts[reviewer.pk] for reviewer in reviewers)
    active = [
        reviewer
        for reviewer in reviewers
        if reviewer.pk in counts or (reviewer.last_login and reviewer.last_login > now - RECENT_LOGIN)
    ]
    _random.shuffle(active)  # so that no reviewer always has the first choice of images
    for reviewer in active:
        counted = counts[reviewer.pk]
        yield reviewer, counted / total if counted else 1 / len(active)


def _gold(dataset: Dataset, reviewer: User, now: datetime) -> list[_Candidate]:
    """Return the gold images that the reviewer can be asked about.

    The reviewer must not know the image: no own decision about it, and not its source.
    """
    own = without_tests(active_decisions(image=OuterRef("image"), user=reviewer, kind__in=LABEL_KINDS))
    # A label that was corrected since is known no more.
    current = ConfirmedLabel.objects.filter(image=OuterRef("image"), label=OuterRef("label"))
    rows = GoldImage.objects.filter(
        ~Exists(own),
        ~Exists(_asked(dataset, reviewer, now)),
        ~is_excluded("image"),
        Exists(current),
        dataset=dataset,
        ended_at__isnull=True,
        label__archived_at__isnull=True,
    ).exclude(created_by=reviewer)
    images = dict(rows.values_list("image_id", "pk"))
    hidden = hidden_ids(dataset, images)
    return [_Candidate(image, gold=gold) for image, gold in images.items() if image not in hidden]


def _repeats(dataset: Dataset, reviewer: User, now: datetime) -> list[_Candidate]:
    """Return images that the reviewer judged before, each with the reviewer's newest decision about it."""
    own = without_tests(active_decisions(dataset=dataset, user=reviewer))
    later = own.order_by("-pk").values_list("pk", flat=True)[REPEAT_AFTER_ANSWERS - 1 : REPEAT_AFTER_ANSWERS]
    limit = next(iter(later), None)
    if limit is None:
        return []
    newer = active_decisions(image=OuterRef("image"), user=reviewer, pk__gt=OuterRef("pk"))
    set_aside = QueueItem.objects.filter(image=OuterRef("image"), state=QueueItem.State.SET_ASIDE)
    rows = own.filter(
        ~Exists(without_tests(newer)),
        ~Exists(_asked(dataset, reviewer, now)),
        ~Exists(set_aside),
        ~is_excluded("image"),
        pk__lt=limit,
        kind__in=LABEL_KINDS,
        label__archived_at__isnull=True,
        created_at__lte=now - timedelta(days=dataset.repeat_days),
    )
    images = dict(rows.order_by("-pk").values_list("image_id", "pk")[:REPEATS_FROM])
    hidden = hidden_ids(dataset, images)
    return [_Candidate(image, repeats=pk) for image, pk in images.items() if image not in hidden]


def _asked(dataset: Dataset, reviewer: User, now: datetime) -> QuerySet[QueueItem]:
    """Return the tests by an outer query's image that the reviewer saw in the last `gold_days` days."""
    seen = Q(state=QueueItem.State.DONE) | Exists(Lease.objects.filter(item=OuterRef("pk")))
    return QueueItem.objects.filter(
        seen,
        image=OuterRef("image"),
        stream__in=TEST_STREAMS,
        assigned_to=reviewer,
        created_at__gt=now - timedelta(days=dataset.gold_days),
    )
