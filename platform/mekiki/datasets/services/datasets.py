"""Services that create a dataset, change its settings and archive it."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_may_create_datasets, require_role
from mekiki.accounts.models import Role, User
from mekiki.accounts.services import make_first_admin
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.datasets import slugs
from mekiki.datasets.models import AuditShareChange, Dataset
from mekiki.jobs.models import ACTIVE_STATES, Job, Kind
from mekiki.jobs.services import cancel, enqueue

CREATION_SETTINGS = frozenset(
    {
        *(
            "encoder_name",
            "seed",
            "audit_fraction",
            "queue_target",
            "acquisition",
            "retrain_every",
            "overlap",
        ),
        "use_detail",
    }
)
EDITABLE = frozenset(
    {
        *("name", "description", "audit_fraction", "queue_target", "acquisition", "retrain_every", "overlap"),
        *("grid_image_ms", "min_display_ms", "critical_overlap", "hide_names_from_adjudicators"),
        "use_detail",
        *("gold_share", "gold_days", "repeat_share", "repeat_days"),
        *("gold_bound", "gold_bound_answers", "requalification_questions"),
    }
)


def create_dataset(
    *, name: str, user: User, slug: str = "", description: str = "", **settings: Any
) -> Dataset:
    """Create a dataset. The user becomes its admin.

    An empty `slug` is derived from the name. A name without any letter gives dataset-<n>. `settings` may hold
    encoder_name, seed, audit_fraction, queue_target, acquisition, retrain_every, overlap and use_detail.
    Raises PermissionDenied unless the user may create datasets. Raises ValidationError if a value is out of
    range or the address is taken.
    """
    require_may_create_datasets(user)
    if unknown := set(settings) - CREATION_SETTINGS:
        raise TypeError(f"Not settings of a dataset: {', '.join(sorted(unknown))}")
    if slug:
        try:
            slug = slugs.validate_slug(slug)
        except ValidationError as error:
            raise ValidationError({"slug": error}) from None
    else:
        base = slugs.slug_from_name(name)
    for number in range(1000):
        dataset = Dataset(
            name=name.strip(),
            slug=slug or (slugs.numbered(base, number) if base else _plain_slug(number)),
            description=description.strip(),
            created_by=user,
            **settings,
        )
        dataset.full_clean(exclude=["archived_at"], validate_unique=bool(slug))
        try:
            with transaction.atomic():
                dataset.save(force_insert=True)
                make_first_admin(dataset=dataset, user=user)
                record(
                    kind="dataset.created",
                    actor=user,
                    dataset=dataset,
                    target=dataset,
                    data={"name": dataset.name, "slug": dataset.slug, "encoder": dataset.encoder_name},
                )
        except IntegrityError:
            if slug:  # taken between the check and the insert
                raise ValidationError({"slug": slugs.address_taken_error()}) from None
            continue
        return dataset
    raise ValidationError({"name": _("Too many datasets have this name. Choose another.")})


def _plain_slug(number: int) -> str:
    """Return the number-th address to try for a name that gives no address, such as "…"."""
    return f"dataset-{Dataset.objects.count() + 1 + number}"


@transaction.atomic
def change_address(*, dataset: Dataset, user: User, slug: str) -> Dataset:
    """Give a dataset another address. The old address redirects to it from now on.

    Raises PermissionDenied unless the user is an admin of the dataset. Raises ValidationError if the address
    is malformed, reserved or belongs to another dataset.
    """
    require_role(user, dataset, Role.ADMIN)
    row = Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)
    slug = slugs.validate_slug(slug, row)
    if slug == row.slug:
        return row
    before, row.slug = row.slug, slug
    try:
        with transaction.atomic():
            row.save(update_fields=["slug"])
    except IntegrityError:  # taken between the check and the update
        raise slugs.address_taken_error() from None
    record(
        kind="dataset.address_changed", actor=user, dataset=row, target=row, data={"from": before, "to": slug}
    )
    return row


@transaction.atomic
def update_settings(*, dataset: Dataset, user: User, **changes: Any) -> Dataset:
    """Change the settings of a dataset that are in EDITABLE.

    A new audit share or a longer queue starts a job that refills the queue. Switching the local detail on
    starts a job that computes it. Nothing is recorded if nothing
    changes. Raises PermissionDenied unless the user is an admin of the dataset, and ValidationError if a
    value is out of range.
    """
    require_role(user, dataset, Role.ADMIN)
    if unknown := set(changes) - EDITABLE:
        raise TypeError(f"Not settings that can change: {', '.join(sorted(unknown))}")
    row = Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)
    before = {name: getattr(row, name) for name, value in changes.items() if getattr(row, name) != value}
    if not before:
        return row
    for name in before:
        setattr(row, name, changes[name])
    row.full_clean(exclude=["archived_at", "created_by"])
    row.save(update_fields=list(before))
    if "audit_fraction" in before:
        AuditShareChange.objects.create(
            dataset=row, before=before["audit_fraction"], after=row.audit_fraction
        )
    record(
        kind="dataset.settings_changed",
        actor=user,
        dataset=row,
        target=row,
        data={"before": before, "after": {name: changes[name] for name in before}},
    )
    if row.use_detail and "use_detail" in before and row.images.exists():
        enqueue(kind=Kind.ENCODE, dataset=row, user=user)  # computes the missing local detail
    more = row.queue_target > before.get("queue_target", row.queue_target)
    shares = {"audit_fraction", "gold_share", "repeat_share"} & set(before)
    if (shares or more) and hasattr(row, "champion") and row.images.exists():
        # The waiting items were chosen by the old shares. Images that are now in the audit reserve must not
        # be asked about in another stream.
        enqueue(kind=Kind.REFILL, dataset=row, user=user)
    return row


@transaction.atomic
def archive_dataset(*, dataset: Dataset, user: User) -> None:
    """Archive a dataset: nobody sees it any more and its jobs are cancelled. Nothing is deleted.

    Raises PermissionDenied unless the user is an admin of the dataset.
    """
    require_role(user, dataset, Role.ADMIN)
    row = Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)
    if row.archived_at is not None:
        return
    row.archived_at = clock.now()
    row.save(update_fields=["archived_at"])
    record(kind="dataset.archived", actor=user, dataset=row, target=row, data={"name": row.name})
    for job in Job.objects.filter(dataset=row, state__in=ACTIVE_STATES):
        job.dataset = dataset  # with the role of the user
        cancel(job=job, user=user)
