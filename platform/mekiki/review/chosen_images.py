"""What an act on images that were chosen in the gallery would use and leave out, before it is confirmed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db.models import Exists, OuterRef, Q, QuerySet

from mekiki.accounts.models import User
from mekiki.datasets.models import Dataset, Image
from mekiki.learning.left_out import IDS
from mekiki.review.blinding import hidden_count, unshown_condition
from mekiki.review.errors import InvalidAnswerError
from mekiki.review.finding import filters_of_query, uses_hidden_facts
from mekiki.review.imported import labels_to_train_on
from mekiki.review.models import TEST_STREAMS, ConfirmedLabel, QueueItem, Stream
from mekiki.review.selectors import is_excluded, training_votes
from mekiki.review.view_images import images_of_view


@dataclass(frozen=True)
class ChosenImages:
    """The images of a query string of the gallery, for an act.

    used: the images that the act changes, takes out of the training, or exports with a label of a person.
    left_out: reason → number of the other images that match. hidden: images of the dataset that hide the
    facts that the filters compare, and therefore do not match (at most blinding.COUNT_UP_TO + 1). others: of
    a training, the images that it uses.
    """

    matching: int
    used: int
    images: QuerySet[Image]
    left_out: dict[str, int] = field(default_factory=dict)
    hidden: int = 0
    others: int = 0


def query_of_ids(image_ids: Sequence[int]) -> str:
    """Return the query string of a selection of images."""
    return f"{IDS}={'.'.join(str(pk) for pk in sorted(set(image_ids)))}" if image_ids else ""


def images_for_act(dataset: Dataset, user: User, act: str, query: str) -> ChosenImages:
    """Return what an act ("queue", "train" or "export") would do with the images of a query string.

    The user is an admin of the dataset. Raises InvalidAnswerError as query_of_filters does, and for another
    act.
    """
    if act not in _ACTS:
        raise InvalidAnswerError("unknown_act", "There is no such act.")
    asked = filters_of_query(dataset, user, query, as_admin=True)
    hides = uses_hidden_facts(asked)
    chosen = _ACTS[act](dataset, images_of_view(dataset, user, query).order_by())
    left_out = {reason: n for reason, n in chosen.left_out.items() if n}
    hidden = hidden_count(dataset) if hides else 0
    return ChosenImages(
        chosen.matching, chosen.used, chosen.images.order_by("-pk"), left_out, hidden, chosen.others
    )


def _queue(dataset: Dataset, images: QuerySet[Image]) -> ChosenImages:
    """Return what services.rechecking.queue_for_review does with images.

    An image that waits only as a test item counts as an image that does not wait, so that the numbers do not
    reveal the test.
    """
    items = QueueItem.objects.filter(image=OuterRef("pk"))
    taken = Exists(
        items.filter(
            Q(state=QueueItem.State.SET_ASIDE)
            | (Q(state=QueueItem.State.WAITING) & ~Q(stream__in=TEST_STREAMS))
        )
    )
    shown = images.filter(~unshown_condition(dataset))
    not_excluded = shown.filter(~is_excluded("pk"))
    used = not_excluded.filter(~taken)
    counts = [one.count() for one in (images, shown, not_excluded, used)]
    reasons = ("blind", "excluded", "waiting")
    left_out = {reason: before - after for reason, before, after in zip(reasons, counts, counts[1:])}
    return ChosenImages(counts[0], counts[-1], used, left_out)


def _train(dataset: Dataset, images: QuerySet[Image]) -> ChosenImages:
    """Return which images of the training a training without these would lack."""
    by_people = [votes.image for votes in training_votes(dataset)]
    ids = {*by_people, *(votes.image for votes in labels_to_train_on(dataset, by_people))}
    matching = images.count()
    used = images.filter(pk__in=ids)
    rest = images.exclude(pk__in=ids)
    excluded = rest.filter(is_excluded("pk"))
    audited = ConfirmedLabel.objects.filter(image=OuterRef("pk"), stream=Stream.AUDIT, in_training=False)
    rest = rest.filter(~is_excluded("pk"))
    n, n_excluded, n_audited = used.count(), excluded.count(), rest.filter(Exists(audited)).count()
    left_out = {
        "not_trained_excluded": n_excluded,
        "not_trained_audit": n_audited,
        "not_trained": matching - n - n_excluded - n_audited,
    }
    return ChosenImages(matching, n, used, left_out, others=len(ids) - n)


def _export(dataset: Dataset, images: QuerySet[Image]) -> ChosenImages:
    """Return which images have a label of a person for a label set."""
    matching, not_excluded = images.count(), images.filter(~is_excluded("pk"))
    used = not_excluded.filter(Exists(ConfirmedLabel.objects.filter(image=OuterRef("pk"))))
    rest, n = not_excluded.count(), used.count()
    return ChosenImages(matching, n, used, {"excluded": matching - rest, "unlabelled": rest - n})


_ACTS = {"queue": _queue, "train": _train, "export": _export}
