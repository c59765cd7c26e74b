"""Services for labels that come with imported images: store them, and choose the labels they stand for."""

from collections.abc import Mapping, Sequence

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.datasets.hooks import LabelledImage
from mekiki.datasets.models import Dataset, ImportBatch
from mekiki.datasets.problems import ReportLine
from mekiki.labeling.models import Label
from mekiki.labeling.selectors import active_labels, current_prompt_set, prompts_of
from mekiki.labeling.services import add_label, save_prompts
from mekiki.labeling.text import DEFAULT_TEMPLATE, name_key
from mekiki.review.models import ImportedLabel, ImportedName

# More names than a schema can have labels mean that the column holds no labels.
MAX_NAMES = 1000


def store_imported_labels(
    batch: ImportBatch, images: Sequence[LabelledImage]
) -> list[tuple[str, ReportLine]]:
    """Store the labels of images of an import and return report lines. Call it in their transaction.

    A worker calls it; the permission was checked when the import was started. A label is stored once. If an
    import has two different labels of one author for one image, both are kept, and the report names the file.
    """
    if not batch.takes_labels:
        return []
    wanted = {label.text for image in images for label in image.labels}
    names = {row.text: row for row in batch.label_names.filter(text__in=wanted)}
    lines: list[tuple[str, ReportLine]] = []
    new = sorted(wanted - set(names))
    if new:
        room = max(0, MAX_NAMES - batch.label_names.count())
        by_key = _labels_by_key(batch.dataset)
        rows = [ImportedName(batch=batch, text=text, label=by_key.get(name_key(text))) for text in new[:room]]
        ImportedName.objects.bulk_create(rows, ignore_conflicts=True)
        names |= {row.text: row for row in batch.label_names.filter(text__in=new[:room])}
        if new[room:]:
            detail = {"limit": MAX_NAMES}
            lines.append((batch.label_source, ReportLine("label_names_too_many", "partly", detail)))
    ids = [image.image for image in images]
    had: dict[tuple[int, str, bool], set[int]] = {}
    stored = ImportedLabel.objects.filter(name__batch=batch, image__in=ids)
    columns = ("image_id", "author", "predicted", "name_id")
    for image_id, author, predicted, name_id in stored.values_list(*columns):
        had.setdefault((image_id, author, predicted), set()).add(name_id)
    fresh = []
    for image in images:
        for label in image.labels:
            name = names.get(label.text)
            if name is None:
                continue
            others = had.setdefault((image.image, label.author, label.predicted), set())
            if name.pk in others:
                continue
            if others:
                lines.append((image.where, ReportLine("labels_differ", "noted")))
            others.add(name.pk)
            fresh.append(
                ImportedLabel(image_id=image.image, name=name, author=label.author, predicted=label.predicted)
            )
    ImportedLabel.objects.bulk_create(fresh, ignore_conflicts=True, batch_size=1000)
    return lines


def record_imported_labels(batch: ImportBatch, user: User | None) -> None:
    """Record how many labels an import stored. A worker calls it in the transaction that ends the import."""
    images = ImportedLabel.objects.filter(name__batch=batch).values("image").distinct().count()
    if not images:
        return
    names = batch.label_names.all()
    record(
        kind="labels.imported",
        actor=user,
        dataset=batch.dataset,
        target=batch,
        data={
            "source": batch.label_source,
            "use": batch.label_use,
            "images": images,
            "names": names.count(),
            "unknown": names.filter(label__isnull=True).count(),
        },
    )


@transaction.atomic
def map_label_names(*, batch: ImportBatch, user: User, labels: Mapping[int, int | None]) -> int:
    """Choose the labels that names of an import stand for, and return how many names were changed.

    `labels`: id of a name → id of a label of the schema, or None for no label. Raises PermissionDenied unless
    the user is an admin of the dataset, and ValidationError if a name or a label is not of this dataset.
    """
    require_role(user, batch.dataset, Role.ADMIN)
    names = {row.pk: row for row in batch.label_names.select_for_update().filter(pk__in=labels)}
    known = {label.pk: label for label in active_labels(batch.dataset)}
    if set(labels) != set(names) or not {pk for pk in labels.values() if pk is not None} <= set(known):
        raise ValidationError(
            _("The labels were changed in the meantime. Load the page again, then make your change."),
            code="unknown_label",
        )
    changed = 0
    for pk, label_id in labels.items():
        name = names[pk]
        if name.label_id == label_id:
            continue
        name.label = known[label_id] if label_id is not None else None
        name.save(update_fields=["label"])
        changed += 1
        record(
            kind="imported_label.mapped",
            actor=user,
            dataset=batch.dataset,
            target=batch,
            data={"name": name.text, "label": name.label.name if name.label else ""},
        )
    return changed


@transaction.atomic
def add_missing_labels(*, batch: ImportBatch, user: User) -> list[Label]:
    """Add a label to the schema for each name of an import that stands for none, and return these labels.

    A new label gets the default prompt. Raises PermissionDenied unless the user is an admin of the dataset,
    and ValidationError if a name cannot be a label or if there are too many labels. Nothing is added then.
    """
    require_role(user, batch.dataset, Role.ADMIN)
    added = []
    for name in batch.label_names.select_for_update().filter(label__isnull=True).order_by("text"):
        label = _labels_by_key(batch.dataset).get(name_key(name.text))
        if label is None:
            label = add_label(dataset=batch.dataset, name=name.text, user=user)
            added.append(label)
        map_label_names(batch=batch, user=user, labels={name.pk: label.pk})
    if added:
        before = prompts_of(current_prompt_set(batch.dataset))
        prompts = {
            label.pk: [DEFAULT_TEMPLATE.format(label=label.name)]
            for label in active_labels(batch.dataset)
            if not before.get(label.pk)
        }
        save_prompts(dataset=batch.dataset, prompts=prompts, user=user)
    return added


@transaction.atomic
def set_label_use(*, batch: ImportBatch, user: User, use: str) -> None:
    """Choose whether heads are trained on the labels of an import.

    Raises PermissionDenied unless the user is an admin of the dataset, and ValidationError if the import has
    no labels or the use is not TRAIN or COMPARE.
    """
    require_role(user, batch.dataset, Role.ADMIN)
    allowed = {ImportBatch.LabelUse.TRAIN, ImportBatch.LabelUse.COMPARE}
    row = ImportBatch.objects.select_for_update().get(pk=batch.pk)
    if use not in allowed or not row.takes_labels:
        raise ValidationError(
            _("This import has no labels. Import it again with its labels."), code="no_labels"
        )
    if row.label_use == use:
        return
    before, row.label_use = row.label_use, use
    row.save(update_fields=["label_use"])
    record(
        kind="imported_labels.use_changed",
        actor=user,
        dataset=batch.dataset,
        target=row,
        data={"source": row.label_source, "before": before, "after": use},
    )


def _labels_by_key(dataset: Dataset) -> dict[str, Label]:
    """Return the labels of the schema by name and by short code. A name has priority over a code."""
    labels = list(active_labels(dataset))
    by_code = {name_key(label.code): label for label in labels if label.code}
    return by_code | {name_key(label.name): label for label in labels}
