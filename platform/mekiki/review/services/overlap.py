"""Change of the overlap of streams and labels."""

from collections.abc import Mapping

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.datasets.models import MOST_REVIEWERS, Dataset
from mekiki.labeling.selectors import active_labels
from mekiki.labeling.services.label_rows import change_label, lock_schema
from mekiki.review.models import OVERLAP_STREAMS, StreamOverlap


@transaction.atomic
def set_overlaps(
    *, dataset: Dataset, user: User, streams: Mapping[str, int | None], labels: Mapping[int, int]
) -> None:
    """Set the overlap of streams and the least overlap of labels. Others stay as they are.

    streams: stream → overlap, or None for the overlap of the dataset.
    labels: label id → least overlap. It applies to answers from now on, and to images that are queued from
    now on.

    Nothing is recorded if nothing changes. Raises PermissionDenied if the user is not an admin of the
    dataset. Raises ValidationError if a stream or label is unknown, or a number is not in 1…MOST_REVIEWERS.
    """
    require_role(user, dataset, Role.ADMIN)
    lock_schema(dataset)
    numbers = [n for n in (*streams.values(), *labels.values()) if n is not None]
    if not all(1 <= n <= MOST_REVIEWERS for n in numbers):
        raise ValidationError(
            _("An overlap is a number from 1 to %(most)d. Nothing was changed."),
            params={"most": MOST_REVIEWERS},
        )
    if not set(streams) <= set(OVERLAP_STREAMS):
        raise ValidationError(_("The overlap of this stream cannot be set. Nothing was changed."))
    known = {label.pk: label for label in active_labels(dataset)}
    if not set(labels) <= set(known):
        raise ValidationError(
            _("The labels were changed in the meantime. Load the page again, then make your change.")
        )
    present = dict(StreamOverlap.objects.filter(dataset=dataset).values_list("stream", "overlap"))
    changed = {str(stream): n for stream, n in streams.items() if present.get(str(stream)) != n}
    for stream, overlap in changed.items():
        rows = StreamOverlap.objects.filter(dataset=dataset, stream=stream)
        if overlap is None:
            rows.delete()
        else:
            StreamOverlap.objects.update_or_create(
                dataset=dataset, stream=stream, defaults={"overlap": overlap}
            )
    if changed:
        record(
            kind="queue.overlap_changed",
            actor=user,
            dataset=dataset,
            target=dataset,
            data={"before": {stream: present.get(stream) for stream in changed}, "after": changed},
        )
    for pk, overlap in labels.items():
        change_label(known[pk], user, min_overlap=overlap)
