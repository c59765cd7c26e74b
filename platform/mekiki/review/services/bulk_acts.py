"""Acts on many images: send to review, tag, exclude. Small ones are done at once, large ones by a job.

Images that hide their facts are left out. An image of the audit sample must be judged blind first, and a tag
would describe it. Images of the audit sample are never excluded: the sample would not be random any more, and
the accuracy could improve.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.datasets.models import Dataset, Image
from mekiki.jobs.models import Kind
from mekiki.jobs.payloads import BulkActPayload
from mekiki.jobs.services import enqueue
from mekiki.review.blinding import unshown_ids
from mekiki.review.errors import InvalidAnswerError, NotFoundForReviewerError
from mekiki.review.exclusions import audited_ids
from mekiki.review.finding import query_of_filters
from mekiki.review.models import BulkAct, ExcludedImage, ImageTag, Lease, QueueItem, SavedView, Tag
from mekiki.review.models.selections import REASON_LENGTH
from mekiki.review.services.rechecking import queue_for_review
from mekiki.review.services.saved_views import check_name
from mekiki.review.view_images import images_of_view

# An act on more images than this is a job.
AT_ONCE = 200
# The most images of a list.
MOST_LISTED = 1000
STEP = 500


@dataclass(frozen=True)
class ImageChoice:
    """The images of an act: a list of ids, a saved view, or the filters of a query string."""

    image_ids: Sequence[int] | None = None
    query: str = ""
    view: SavedView | None = None


def start_bulk_act(
    *, dataset: Dataset, user: User, act: str, images: ImageChoice, tag: str = "", reason: str = ""
) -> BulkAct:
    """Act on images and return the act. `finished_at` is None if a job does it.

    Raises PermissionDenied unless the user is an admin of the dataset. Raises InvalidAnswerError for an
    unknown act, a missing tag, an exclusion without a reason, no image or too many listed images, and as
    query_of_filters does. Raises NotFoundForReviewerError if a listed image does not exist. Nothing is
    changed then.
    """
    require_role(user, dataset, Role.ADMIN)
    if act not in BulkAct.Act.values:
        raise InvalidAnswerError("unknown_act", _("There is no such act. Nothing was changed."))
    with transaction.atomic():
        row = BulkAct(
            dataset=dataset,
            act=act,
            tag=_tag(dataset, tag, create=act == BulkAct.Act.TAG) if act in _TAGGING else None,
            reason=_reason(reason) if act == BulkAct.Act.EXCLUDE else "",
            created_by=user,
            through=Image.objects.filter(dataset=dataset).aggregate(last=Max("pk"))["last"] or 0,
        )
        if images.image_ids is not None:
            row.image_ids = _listed(dataset, images.image_ids)
        else:
            row.query = query_of_filters(dataset, user, images.view.query if images.view else images.query)
            row.view_name = images.view.name if images.view else ""
        row.save()
        large = row.image_ids is None and len(_images_of(row).values("pk")[: AT_ONCE + 1]) > AT_ONCE
        if large:
            enqueue(
                kind=Kind.BULK_ACT,
                dataset=dataset,
                user=user,
                key=f"{Kind.BULK_ACT}:{row.pk}",
                payload=BulkActPayload(act=row.pk).as_json(),
            )
        else:
            row = run_bulk_act(act=row)
    return row


def _reason(text: str) -> str:
    text = " ".join(text.split())
    if not text or len(text) > REASON_LENGTH or not text.isprintable():
        raise InvalidAnswerError(
            "reason",
            _("Write a reason of 1 to %(most)d characters. Nothing was changed.") % {"most": REASON_LENGTH},
        )
    return text


def _tag(dataset: Dataset, name: str, *, create: bool) -> Tag:
    name = check_name(name)
    tag = Tag.objects.filter(dataset=dataset, name__iexact=name).first()
    if tag is None and create:
        tag = Tag.objects.create(dataset=dataset, name=name)
    if tag is None:
        raise InvalidAnswerError("unknown_tag", _("No image has this tag. Nothing was changed."))
    return tag


def _listed(dataset: Dataset, image_ids: Sequence[int]) -> list[int]:
    ids = sorted(set(image_ids))
    if not 1 <= len(ids) <= MOST_LISTED:
        raise InvalidAnswerError(
            "bad_selection",
            _("Select 1 to %(most)d images. Nothing was changed.") % {"most": MOST_LISTED},
        )
    if Image.objects.filter(dataset=dataset, pk__in=ids).count() < len(ids):
        raise NotFoundForReviewerError("unknown_image", _("There is no such image in this dataset."))
    return ids


def _images_of(act: BulkAct) -> QuerySet[Image]:
    """Return the images of an act that are not done yet, by id.

    Filters are read with the rights of the admin who began the act.
    """
    if act.image_ids is not None:
        images = Image.objects.filter(dataset=act.dataset, pk__in=act.image_ids)
    else:
        images = images_of_view(act.dataset, act.created_by, act.query)
    return images.filter(pk__gt=act.last_image, pk__lte=act.through).order_by("pk")


def run_bulk_act(*, act: BulkAct, report: Callable[[int], object] = lambda done: None) -> BulkAct:
    """Do the rest of an act in steps. Called by the platform. `report` gets the number of done images.

    An act that is finished is not done again.
    """
    while act.finished_at is None:
        act = _do_step(act.pk)
        report(act.changed + act.unchanged + act.left_out + act.audited)
    return act


@transaction.atomic
def _do_step(act_id: int) -> BulkAct:
    act = (
        BulkAct.objects.select_for_update(of=("self",)).select_related("dataset", "created_by").get(pk=act_id)
    )
    if act.finished_at is not None:
        return act
    ids = list(_images_of(act).values_list("pk", flat=True)[:STEP])
    hidden = unshown_ids(act.dataset, ids)
    visible = [pk for pk in ids if pk not in hidden]
    audited = audited_ids(act.dataset, visible) if act.act == BulkAct.Act.EXCLUDE else set()
    visible = [pk for pk in visible if pk not in audited]
    changed = _EFFECTS[BulkAct.Act(act.act)](act, visible) if visible else 0
    act.changed += changed
    act.unchanged += len(visible) - changed
    act.left_out += len(hidden)
    act.audited += len(audited)
    act.last_image = ids[-1] if ids else act.last_image
    if len(ids) < STEP:
        act.finished_at = clock.now()
        record(
            kind="images.acted_on",
            actor=act.created_by,
            dataset=act.dataset,
            target=act,
            data={
                "act": act.act,
                "tag": act.tag.name if act.tag else "",
                "view": act.view_name,
                "changed": act.changed,
                "left_out": act.left_out,
                # Keys that older events do not have.
                **({"reason": act.reason, "audited": act.audited} if act.reason else {}),
            },
        )
    act.save(update_fields=["changed", "unchanged", "left_out", "audited", "last_image", "finished_at"])
    return act


def _queue(act: BulkAct, ids: list[int]) -> int:
    return queue_for_review(dataset=act.dataset, image_ids=ids)


def _add_tag(act: BulkAct, ids: list[int]) -> int:
    had = set(ImageTag.objects.filter(tag=act.tag, image__in=ids).values_list("image_id", flat=True))
    new = [ImageTag(tag=act.tag, image_id=pk) for pk in ids if pk not in had]
    ImageTag.objects.bulk_create(new, ignore_conflicts=True)
    return len(new)


def _remove_tag(act: BulkAct, ids: list[int]) -> int:
    return ImageTag.objects.filter(tag=act.tag, image__in=ids).delete()[0]


def _exclude(act: BulkAct, ids: list[int]) -> int:
    """Exclude images, and withdraw them from the queue. A late answer is kept."""
    _lock(ids)
    had = set(ExcludedImage.objects.filter(image__in=ids).values_list("image_id", flat=True))
    new = [pk for pk in ids if pk not in had]
    ExcludedImage.objects.bulk_create(ExcludedImage(image_id=pk, act=act) for pk in new)
    waiting = QueueItem.objects.filter(image__in=new, state=QueueItem.State.WAITING)
    items = list(waiting.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))
    now = clock.now()
    Lease.objects.filter(item__in=items, ended_at__isnull=True).update(ended_at=now)
    QueueItem.objects.filter(pk__in=items).update(
        state=QueueItem.State.WITHDRAWN, finished_at=now, assigned_to=None
    )
    return len(new)


def _include(act: BulkAct, ids: list[int]) -> int:
    _lock(ids)
    return ExcludedImage.objects.filter(image__in=ids).delete()[0]


def _lock(ids: list[int]) -> None:
    list(Image.objects.filter(pk__in=ids).order_by("pk").select_for_update(no_key=True).values_list("pk"))


_TAGGING = (BulkAct.Act.TAG, BulkAct.Act.UNTAG)
_EFFECTS: dict[BulkAct.Act, Callable[[BulkAct, list[int]], int]] = {
    BulkAct.Act.QUEUE: _queue,
    BulkAct.Act.TAG: _add_tag,
    BulkAct.Act.UNTAG: _remove_tag,
    BulkAct.Act.EXCLUDE: _exclude,
    BulkAct.Act.INCLUDE: _include,
}
