"""The imports of a dataset and the lines of their reports, for programs."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.api.errors import ErrorOut
from mekiki.datasets import services
from mekiki.datasets.access import dataset_for, import_for
from mekiki.datasets.models import ImportBatch
from mekiki.datasets.options import ImportOptions
from mekiki.datasets.problems import explain
from mekiki.datasets.selectors import imports_of, outcome_counts, problems_after

router = Router(tags=["imports"])

ERRORS = dict.fromkeys((401, 403, 404, 422), ErrorOut)


class OutcomesOut(Schema):
    """Lines of the report by outcome."""

    refused: int
    partly: int
    skipped: int
    noted: int


class ImportOut(Schema):
    """One import. `outcomes` counts the lines of its report; `finished_at` is null while it is open."""

    id: int
    source: str
    created_at: datetime
    finished_at: datetime | None
    added: int
    duplicates: int
    rejected: int
    metadata_changed: int
    undone_at: datetime | None
    label_use: str
    label_source: str
    outcomes: OutcomesOut


class ImportOptionsIn(Schema):
    """The options of an import, as on the import page."""

    every_page: bool = False
    label_use: Literal["ignore", "compare", "train"] = "ignore"
    label_source: str = Field("", max_length=100)
    label_column: str = Field("", max_length=200)
    folder_labels: bool = False
    read_exif: bool = False
    keep_place: bool = False
    path_pattern: str = Field("", max_length=500)

    def chosen(self) -> ImportOptions:
        """Return the options for the services."""
        return ImportOptions(**{name: getattr(self, name) for name in ImportOptionsIn.model_fields})


class ImportIn(ImportOptionsIn):
    """A path on the server, or the address of a bucket: s3://bucket/prefix."""

    path: str = Field(max_length=4096)


class LineOut(Schema):
    """One line of a report. `what` and `advice` are in the language of the request."""

    id: int
    name: str
    outcome: str
    code: str
    what: str
    advice: str


class LinesIn(Schema):
    """Pages by key: `after` is the id of the last line before."""

    outcome: Literal["", "refused", "partly", "skipped", "noted"] = ""
    after: int = Field(0, ge=0, le=2**63 - 1)
    limit: int = Field(100, ge=1, le=1000)


def import_out(batch: ImportBatch) -> dict[str, Any]:
    """Return an import as in ImportOut."""
    fields = (
        *("source", "created_at", "finished_at", "added", "duplicates", "rejected", "metadata_changed"),
        *("undone_at", "label_use", "label_source"),
    )
    return {
        "id": batch.pk,
        **{name: getattr(batch, name) for name in fields},
        "outcomes": outcome_counts(batch),
    }


@router.get(
    "/{slug:slug}/imports",
    response={200: list[ImportOut], **ERRORS},
    url_name="imports",
    summary="The latest imports of a dataset, newest first",
)
def imports(request: HttpRequest, slug: str) -> list[dict[str, Any]]:
    """For admins of the dataset; at most 20."""
    return [import_out(batch) for batch in imports_of(dataset_for(user_of(request), slug, Role.ADMIN))]


@router.get(
    "/{slug:slug}/imports/{int:pk}",
    response={200: ImportOut, **ERRORS},
    url_name="import",
    summary="One import",
)
def one_import(request: HttpRequest, slug: str, pk: int) -> dict[str, Any]:
    """For admins of the dataset."""
    return import_out(import_for(user_of(request), slug, pk))


@router.get(
    "/{slug:slug}/imports/{int:pk}/report",
    response={200: list[LineOut], **ERRORS},
    url_name="import-report",
    summary="The lines of an import's report",
)
def report(
    request: HttpRequest, slug: str, pk: int, asked: Annotated[LinesIn, Query()]
) -> list[dict[str, Any]]:
    """For admins of the dataset. What was refused, taken in part, passed over or noted."""
    batch = import_for(user_of(request), slug, pk)
    lines = []
    for row in problems_after(batch, asked.after, asked.limit, asked.outcome):
        text = explain(row.code, row.detail)
        lines.append(
            {
                "id": row.pk,
                "name": row.name,
                "outcome": row.outcome,
                "code": row.code,
                "what": text.what,
                "advice": text.advice,
            }
        )
    return lines


@router.post(
    "/{slug:slug}/imports",
    response={200: ImportOut, **ERRORS},
    url_name="import-begin",
    summary="Import a folder, a zip, a manifest or an image of the server, or a bucket",
)
def begin(request: HttpRequest, slug: str, given: ImportIn) -> dict[str, Any]:
    """For admins of the dataset.

    The path must be below a folder of MEKIKI_IMPORT_FOLDERS, the address below one of MEKIKI_IMPORT_BUCKETS.
    """
    user = user_of(request)
    dataset, options = dataset_for(user, slug, Role.ADMIN), given.chosen()
    if given.path.startswith("s3://"):
        job = services.import_bucket(dataset=dataset, user=user, address=given.path, options=options)
    else:
        job = services.import_allowed_folder(dataset=dataset, user=user, path=given.path, options=options)
    return import_out(import_for(user, slug, job.payload["batch"]))


@router.post(
    "/{slug:slug}/imports/{int:pk}/undo",
    response={200: ImportOut, **ERRORS},
    url_name="import-undo",
    summary="Take a whole import back",
)
def undo(request: HttpRequest, slug: str, pk: int) -> dict[str, Any]:
    """For admins of the dataset, while no image of the import is in use. A job deletes the images."""
    batch = import_for(user_of(request), slug, pk)
    services.request_undo(batch=batch, user=user_of(request))
    return import_out(import_for(user_of(request), slug, pk))
