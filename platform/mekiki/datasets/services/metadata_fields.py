"""Changes of the fields of metadata by admins. Small datasets are done at once, large ones by a job."""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.datasets import typed_values
from mekiki.datasets.importing.filling import fill_fields, scan_fields
from mekiki.datasets.models import Dataset, MetadataField
from mekiki.datasets.quotas import dataset_usage
from mekiki.jobs.models import Job, Kind
from mekiki.jobs.payloads import TypeMetadataPayload
from mekiki.jobs.services import enqueue

# Up to this number of images, values are written in the request.
AT_ONCE = 5000


@transaction.atomic
def set_metadata_type(*, field: MetadataField, user: User, type: str) -> Job | None:
    """Set the type of a field. Return the job that writes its values, or None if there is none.

    The texts of the images stay as they are. Raises PermissionDenied unless the user is an admin of the
    dataset, and ValidationError for an unknown type.
    """
    require_role(user, field.dataset, Role.ADMIN)
    if type not in MetadataField.Type.values:
        raise ValidationError(_("There is no such type. Nothing was changed."))
    dataset = field.dataset
    typed_values.lock_fields(dataset.pk, alone=True)
    row = MetadataField.objects.select_for_update(no_key=True).get(pk=field.pk)
    before = row.type
    is_other = typed_values.change_type(row, type)
    row.chosen_by = user
    row.save(update_fields=["type", "version", "is_complete", "changed_at", "chosen_by"])
    if is_other:
        data = {"name": row.key, "before": before, "after": type}
        record(kind="metadata_field.changed", actor=user, dataset=dataset, target=row, data=data)
    if row.is_complete:
        return None
    if dataset_usage(dataset)["images"] <= AT_ONCE:
        fill_fields(dataset)
        return None
    return enqueue(kind=Kind.TYPE_METADATA, dataset=dataset, user=user)


@transaction.atomic
def read_metadata_fields(*, dataset: Dataset, user: User) -> Job | None:
    """Find the fields of the metadata of all images and guess their types. Return the job, if there is one.

    Types that an admin has chosen stay. Raises PermissionDenied unless the user is an admin of the dataset.
    """
    require_role(user, dataset, Role.ADMIN)
    if dataset_usage(dataset)["images"] <= AT_ONCE:
        scan_fields(dataset)
        return None
    payload = TypeMetadataPayload(scan=True).as_json()
    return enqueue(kind=Kind.TYPE_METADATA, dataset=dataset, user=user, payload=payload)
