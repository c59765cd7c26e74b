"""Derivation of the confirmed label from an image's decisions. It is never set directly."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, cast

from django.db import transaction

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.config.compiled import insert, insert_all
from mekiki.datasets.models import Dataset, Image
from mekiki.labeling.models import Label
from mekiki.learning.models import Evaluation
from mekiki.review.models import (
    AUDIT_UNDO_PERIOD,
    BLIND_STREAMS,
    LABEL_KINDS,
    LABELLING_KINDS,
    AuditRetirement,
    ConfirmedLabel,
    Decision,
    QueueItem,
    Stream,
)
from mekiki.review.selectors import active_decisions
from mekiki.review.services.queries import (
    CONFIRMED_LABEL,
    CONFIRMED_LABELS,
    LABEL_DECISIONS,
    LABEL_DECISIONS_OF,
)


def effective_decisions(**where: Any) -> list[Decision]:
    """Return the answers that name a label and were not undone, in the order of their creation."""
    return list(
        active_decisions(kind__in=LABEL_KINDS, **where).select_related("item", "label").order_by("id")
    )


def standing(decisions: Iterable[Decision]) -> list[Decision]:
    """Return the decisions that were not undone. They were read with `superseded_by`."""
    return [d for d in decisions if getattr(d, "superseded_by", None) is None]


def first_by_reviewer(decisions: Iterable[Decision]) -> list[Decision]:
    """Return one decision of each reviewer. A decision in time is preferred to a late decision."""
    first: dict[int, Decision] = {}
    for decision in sorted(decisions, key=lambda d: (d.late, d.pk)):
        first.setdefault(decision.user_id, decision)
    return list(first.values())


def deciding_decision(decisions: Iterable[Decision], wanted: int) -> Decision | None:
    """Return the decision that sets the label, or None while no label has a majority.

    It is the first decision for the label that more than half of `wanted` reviewers chose. Only the first
    `wanted` reviewers are counted.
    """
    counted = first_by_reviewer(decisions)[:wanted]
    if not counted:
        return None
    label_id, votes = Counter(d.label_id for d in counted).most_common(1)[0]
    if votes * 2 <= wanted:
        return None
    return next(d for d in counted if d.label_id == label_id)


def is_ruling(decision: Decision) -> bool:
    """Return whether an adjudicator gave the decision."""
    return decision.kind == Decision.Kind.RULE


def settling_decision(group: list[Decision], wanted: int) -> Decision | None:
    """Return the decision that sets the label of an item: its newest ruling, or the deciding answer.

    `group` are the answers and rulings of the item that were not undone.
    """
    rulings = [d for d in group if is_ruling(d)]
    if rulings:
        return max(rulings, key=lambda d: d.pk)
    return deciding_decision(group, wanted)


def _is_disputed(item: QueueItem, group: list[Decision]) -> bool:
    """Return whether all reviewers of an item without a settling decision have answered."""
    return item.state == QueueItem.State.DONE and len(first_by_reviewer(group)) >= item.overlap


def update_confirmed_label(
    *, dataset: Dataset, image: Image, given: list[Decision] | None = None, first: bool = False
) -> ConfirmedLabel | None:
    """Update the confirmed label of an image from its decisions. The caller must hold the image's lock.

    The newest settled item sets the label. Items with only late answers are used only if no other item is
    settled. If the reviewers of a newer item disagree, this item is marked for the adjudicators. `given` are
    the rows of LABEL_DECISIONS, if the caller has read them already. `first`: the image has no decision of
    an earlier transaction, and so no confirmed label.
    """
    given = LABEL_DECISIONS.all(image=image.pk) if given is None else given
    current = None if first else CONFIRMED_LABEL.first(image=image.pk)
    row = _derived(dataset, image, given, current)
    return insert(row) if row is not None and row.pk is None else row


def update_confirmed_labels(
    *, dataset: Dataset, images: list[Image], given: dict[int, list[Decision]]
) -> None:
    """Update the confirmed labels of several images, as update_confirmed_label does for one image.

    `given` is the result of label_decisions_of for these images. The caller must hold their locks.
    """
    current = {row.image_id: row for row in CONFIRMED_LABELS.all(images=[image.pk for image in images])}
    new: list[ConfirmedLabel] = []
    for image in images:
        row = _derived(dataset, image, given[image.pk], current.get(image.pk))
        if row is not None and row.pk is None:
            new.append(row)
    insert_all(new)


def label_decisions_of(images: Iterable[Image]) -> dict[int, list[Decision]]:
    """Return image id → all decisions that gave the image a label, with one query."""
    given: dict[int, list[Decision]] = {image.pk: [] for image in images}
    for decision in LABEL_DECISIONS_OF.all(images=list(given)):
        given[decision.image_id].append(decision)
    return given


def _derived(
    dataset: Dataset, image: Image, given: list[Decision], current: ConfirmedLabel | None
) -> ConfirmedLabel | None:
    """Return the confirmed label by the given decisions. A changed row is saved, a new row is not."""
    decisions = sorted(standing(given), key=lambda d: d.item_id or 0, reverse=True)
    settled: list[Decision] = []
    disputed: QueueItem | None = None
    for _item, of_item in groupby(decisions, key=lambda d: d.item_id):
        group = list(of_item)
        item = group[0].item
        deciding = settling_decision(group, item.overlap if item else 1)
        if deciding is not None:
            settled.append(deciding)
        elif item is not None and disputed is None and not settled and _is_disputed(item, group):
            disputed = item
    _store_dispute(given, disputed)
    deciding = next((d for d in settled if not d.late), settled[-1] if settled else None)
    if deciding is None:
        if current is not None:
            current.delete()
        return None
    # An image that was reviewed for the audit stays in the audit, regardless of later items.
    audit_label, audited_at = _audit_answer(given)
    audited = audit_label is not None or any(d.shown.get("stream") == Stream.AUDIT for d in decisions)
    stream = Stream.AUDIT if audited else Stream(deciding.shown.get("stream") or Stream.RECHECK)
    if current is None:
        return ConfirmedLabel(
            dataset=dataset,
            image=image,
            label=cast(Label, deciding.label),
            decision=deciding,
            stream=stream,
            in_training=stream not in BLIND_STREAMS or (audited and _was_retired(dataset, given)),
            audit_label=audit_label,
            audited_at=audited_at,
        )
    audit_id = audit_label.pk if audit_label is not None else None
    if current.decision_id != deciding.pk or current.audit_label_id != audit_id:
        current.audit_label, current.audited_at = audit_label, audited_at
        current.label = cast(Label, deciding.label)
        current.decision = deciding
        current.stream = stream
        current.in_training = stream not in BLIND_STREAMS or (current.in_training and audited)
        current.updated_at = clock.now()
        current.save()
    return current


def _store_dispute(given: list[Decision], disputed: QueueItem | None) -> None:
    """Mark the disputed item of an image, and no other item. Nothing is written if this is so already."""
    for item in {d.item_id: d.item for d in given}.values():
        if item is not None and (item == disputed) != (item.disputed_at is not None):
            item.disputed_at = clock.now() if item == disputed else None
            item.save(update_fields=["disputed_at"])


def update_images_of_restored_label(label: Label) -> None:
    """Update the images that were audited under a restored label. Their first answer is valid again."""
    answered = Decision.objects.filter(
        dataset=label.dataset_id, label=label, item__stream=Stream.AUDIT, kind__in=LABELLING_KINDS
    )
    images = Image.objects.filter(pk__in=answered.values("image")).order_by("pk")
    for image in images.select_for_update(no_key=True, of=("self",)):
        update_confirmed_label(dataset=label.dataset, image=image)


def _audit_answer(given: list[Decision]) -> tuple[Label | None, datetime | None]:
    """Return (label, time) of an image's valid audit answer, or (None, None) before its audit is complete.

    `given` are all label decisions about the image.

    It is the first label that reviewers gave blind, including late answers, or the first ruling if they did
    not agree. An answer or ruling that was undone before anything showed the head's prediction is ignored
    (`_was_undone_blind`). If the label was archived and the image was audited again, the later audit is used.
    """
    blind = [d for d in given if d.shown.get("stream") == Stream.AUDIT]
    # As in the database, an answer without an item comes last.
    blind.sort(key=lambda d: (d.item_id is None, d.item_id or 0, d.pk))
    answers = []
    for _item, of_item in groupby(blind, key=lambda d: d.item_id):
        answer = blind_answer(of_item)
        if answer is not None:
            answers.append(answer)
    in_use = [answer for answer in answers if answer[0].archived_at is None]
    kept = in_use or answers
    return kept[0] if kept else (None, None)


def blind_answer(
    of_item: Iterable[Decision], before: datetime | None = None
) -> tuple[Label, datetime] | None:
    """Return (label, time) of the blind answer to one item, or None before its reviewers agree on a label.

    `of_item` are all label decisions of the item in the order of their creation, read with `superseded_by`,
    `label` and `item`. An answer that was undone before the prediction could be seen is ignored. With
    `before`, only answers and undos from before this time are used.
    """
    group = counting_answers(of_item, before)
    wanted = group[0].item.overlap if group and group[0].item else 1
    deciding = _first_deciding_decision(group, wanted)
    if deciding is None:
        return None
    answered = (
        [deciding]
        if is_ruling(deciding)
        else first_by_reviewer(d for d in group if not is_ruling(d))[:wanted]
    )
    return cast(Label, deciding.label), max(d.created_at for d in answered)


def counting_answers(of_item: Iterable[Decision], before: datetime | None = None) -> list[Decision]:
    """Return the label decisions of an item that `blind_answer` counts. The arguments are its arguments."""
    group = []
    for decision in of_item:
        undone = getattr(decision, "superseded_by", None)
        stood = undone is None or (before is not None and undone.created_at >= before)
        if (before is None or decision.created_at < before) and (stood or not _was_undone_blind(decision)):
            group.append(decision)
    return group


def _first_deciding_decision(group: list[Decision], wanted: int) -> Decision | None:
    """Return the decision that sets the label at the first moment when a label is settled.

    After that moment the prediction is visible. So a later answer in time does not replace a late answer
    here, in contrast to `settling_decision`. If the first `wanted` reviewers did not agree, the first ruling
    sets the label; without a ruling, return None. Answers after the ruling do not change it.
    """
    answers: list[Decision] = []
    for decision in group:
        if is_ruling(decision):
            return decision
        answers.append(decision)
        deciding = deciding_decision(answers, wanted)
        if deciding is not None:
            return deciding
        if len(first_by_reviewer(answers)) >= wanted:
            return next((d for d in group if is_ruling(d)), None)
    return None


def has_audit_label(given: list[Decision]) -> bool:
    """Return whether the audit of an image is complete. `given` are all label decisions about it."""
    return _audit_answer(given)[0] is not None


def _was_undone_blind(decision: Decision) -> bool:
    """Return whether the answer was undone before a person could see the prediction.

    The prediction becomes visible AUDIT_GRACE after the answer. A new accuracy estimate reveals at once
    whether the head agreed with the answer.
    """
    undone = getattr(decision, "superseded_by", None)
    if undone is None:
        return False
    # A negative difference means that the clock was set back, so the time between the two is unknown.
    if not timedelta(0) <= undone.created_at - decision.created_at <= AUDIT_UNDO_PERIOD:
        return False
    between = (decision.created_at, undone.created_at)
    return not Evaluation.objects.filter(
        head__dataset=decision.dataset_id, created_at__range=between
    ).exists()


def _was_retired(dataset: Dataset, given: list[Decision]) -> bool:
    """Return whether an earlier answer about an image was moved into training before it was undone.

    `given` are all label decisions about the image.
    """
    spans = [
        (one.created_at, undone.created_at)
        for one in given
        if one.shown.get("stream") == Stream.AUDIT
        and (undone := getattr(one, "superseded_by", None)) is not None
    ]
    retired = AuditRetirement.objects.filter(dataset=dataset)
    return any(
        retired.filter(retired_at__gt=answered, retired_at__lt=undone).exists() for answered, undone in spans
    )


@transaction.atomic
def retire_audit(*, dataset: Dataset, user: User) -> int:
    """Move the audited labels into the training pool, record this as an event, and return their number.

    These labels no longer measure accuracy, so the audit starts again without images. Raises PermissionDenied
    if the user is not an admin.
    """
    require_role(user, dataset, Role.ADMIN)
    moved = ConfirmedLabel.objects.filter(dataset=dataset, stream=Stream.AUDIT, in_training=False).update(
        in_training=True, updated_at=clock.now()
    )
    if moved:
        AuditRetirement.objects.create(dataset=dataset, labels=moved)
        record(kind="audit.retired", actor=user, dataset=dataset, target=dataset, data={"labels": moved})
    return moved
