"""Cases of test_services_refuse.py: sources of images, drafts of prompts, selections and saved views."""

import io
import uuid
from collections.abc import Callable
from typing import Any

from mekiki.datasets import services as datasets
from mekiki.datasets.models import MetadataField, WatchedFolder
from mekiki.jobs import services as jobs
from mekiki.labeling import services as labeling
from mekiki.labeling.starters import starter
from mekiki.review import services as review
from mekiki.review.models import SavedView
from mekiki.review.services import imported

Case = tuple[Callable[..., Any], str, Callable[[Any], dict[str, Any]]]
KEY = uuid.UUID(int=7)


def _dataset(**more: Any) -> Callable[[Any], dict[str, Any]]:
    return lambda w: {"dataset": w.dataset, **more}


def _batch(**more: Any) -> Callable[[Any], dict[str, Any]]:
    return lambda w: {"batch": w.batch, **more}


def _job(w: Any) -> dict[str, Any]:
    return {"job": w.job}


def _cases(
    module: str, role: str, cases: dict[Callable[..., Any], Callable[[Any], dict[str, Any]]]
) -> dict[str, Case]:
    return {f"{module}:{service.__name__}": (service, role, given) for service, given in cases.items()}


IMAGES_AND_LABELS: dict[str, Case] = {
    **_cases(
        "datasets/services/buckets.py",
        "reviewer",
        {
            datasets.end_watch: lambda w: {"watch": WatchedFolder(dataset=w.dataset, location="/nowhere")},
            datasets.import_bucket: _dataset(address="s3://bucket/prefix"),
            datasets.watch_folder: _dataset(path="/nowhere"),
        },
    ),
    **_cases(
        "datasets/services/lifecycle.py",
        "reviewer",
        {
            datasets.delete_dataset: lambda w: {"dataset": w.dataset, "name": w.dataset.name},
            datasets.restore_dataset: _dataset(),
        },
    ),
    **_cases(
        "datasets/services/manifests.py",
        "reviewer",
        {
            datasets.import_allowed_folder: _dataset(path="/nowhere"),
            datasets.import_manifest: lambda w: {
                "dataset": w.dataset,
                "name": "a.csv",
                "file": io.BytesIO(b"path\n"),
            },
        },
    ),
    **_cases(
        "datasets/services/metadata_fields.py",
        "reviewer",
        {
            datasets.read_metadata_fields: _dataset(),
            datasets.set_metadata_type: lambda w: {
                "field": MetadataField(dataset=w.dataset, key="line"),
                "type": "number",
            },
        },
    ),
    **_cases("datasets/services/undoing.py", "reviewer", {datasets.request_undo: _batch()}),
    **_cases("jobs/services/user_requests.py", "reviewer", {jobs.pause: _job, jobs.resume: _job}),
    **_cases(
        "labeling/services/copying.py",
        "reviewer",
        {labeling.copy_schema: lambda w: {"dataset": w.dataset, "source": w.dataset}},
    ),
    **_cases(
        "labeling/services/drafts.py",
        "reviewer",
        {
            labeling.discard_draft: _dataset(),
            labeling.save_draft: lambda w: {"dataset": w.dataset, "texts": {w.label.pk: "a photo"}},
            labeling.save_draft_as_version: _dataset(),
        },
    ),
    **_cases(
        "labeling/services/prompts.py",
        "reviewer",
        {labeling.use_prompt_set: lambda w: {"prompt_set": w.head.prompt_set}},
    ),
    **_cases(
        "labeling/services/reorganising.py",
        "reviewer",
        {
            labeling.merge_label: lambda w: {"label": w.label, "into": w.station.labels[1]},
            labeling.split_label: lambda w: {"label": w.label, "names": ["one", "other"]},
        },
    ),
    **_cases(
        "labeling/services/starting.py",
        "reviewer",
        {labeling.apply_starter: _dataset(starter=starter("surface"), language="en", reads=["en"])},
    ),
    **_cases(
        "review/services/bulk_acts.py",
        "reviewer",
        {review.start_bulk_act: _dataset(act="queue", images=review.ImageChoice(query="?"))},
    ),
    **_cases(
        "review/services/correcting_selection.py",
        "viewer",
        {
            review.correct_selection: lambda w: {
                "dataset": w.dataset,
                "image_ids": [w.confirmed.image_id],
                "label_id": w.label.pk,
                "head_version": None,
                "client_key": KEY,
            }
        },
    ),
    **_cases(
        "review/services/ending_leases.py",
        "viewer",
        {review.renew: _dataset(lease_ids=[1]), review.release: _dataset(lease_ids=[1])},
    ),
    **_cases("review/services/following.py", "viewer", {review.page_after_answers: _dataset()}),
    **_cases(
        "review/services/imported.py",
        "reviewer",
        {
            imported.add_missing_labels: _batch(),
            imported.map_label_names: _batch(labels={}),
            imported.set_label_use: _batch(use="train"),
        },
    ),
    **_cases(
        "review/services/training_views.py",
        "reviewer",
        {
            review.train_without_images: _dataset(query="confirmed=none"),
            review.train_without_view: lambda w: {
                "dataset": w.dataset,
                "view": SavedView(dataset=w.dataset, name="a", query="label=1"),
            },
        },
    ),
    **_cases(
        "review/services/saved_views.py",
        "viewer",
        {
            review.delete_view: lambda w: {
                "dataset": w.dataset,
                "view": SavedView(dataset=w.dataset, name="a"),
            },
            review.save_view: _dataset(name="a", query="?label=1"),
        },
    ),
}
