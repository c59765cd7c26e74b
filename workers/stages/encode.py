"""Compute the embeddings that are missing. What is stored stays, so a kill costs one chunk."""

from pathlib import Path
from typing import Any

from mekiki.datasets.models import Image
from mekiki.datasets.storage import local_path, open_original
from mekiki.jobs.models import Job, Kind
from mekiki.jobs.services import enqueue
from mekiki.labeling.selectors import current_prompt_set
from mekiki.learning.services import record_encoding_problems, store_embeddings
from workers.runner import Report
from workers.steps.encoders import encoder_for, missing

CHUNK = 256  # images between two commits


def run(job: Job, report: Report) -> dict[str, Any]:
    """Embed every image that has no embedding by the dataset's encoder, then ask for predictions.

    payload: {"encoder": NAME} embeds for another encoder instead, while the dataset's own goes on serving.
    """
    dataset = job.dataset
    assert dataset is not None
    name = job.payload.get("encoder") or dataset.encoder_name
    report(stage="loading the encoder")
    encoder, row = encoder_for(dataset, name)
    todo = missing(dataset, row)
    total, done, unreadable, last = todo.count(), 0, 0, 0
    report(stage="computing embeddings", done=0, total=total, unit="images")
    while True:
        images = list(todo.filter(pk__gt=last).order_by("pk")[:CHUNK])
        if not images:
            # Images of an import that committed meanwhile may have smaller ids than the last one here.
            if last and todo.exists():
                last, total = 0, done + todo.count()
                continue
            break
        items, problems = _items(images)
        begun = done

        def progress(step: int, _total: int, begun: int = begun) -> None:
            report(done=begun + step)

        batch = encoder.encode_images([items[i] for i in items], progress=progress)
        order = list(items)
        store_embeddings(encoder=row, image_ids=[order[i] for i in batch.ok_indices], vectors=batch.vectors)
        problems |= {order[i]: reason for i, reason in batch.errors.items()}
        record_encoding_problems(encoder=row, problems=problems)
        unreadable += len(problems)
        last, done = images[-1].pk, done + len(images)
        report(done=done, total=max(total, done))
    dataset.refresh_from_db(fields=["encoder_name"])  # it may have been changed while this took its hours
    if name == dataset.encoder_name and current_prompt_set(dataset) is not None:
        enqueue(kind=Kind.PREDICT, dataset=dataset, user=job.created_by)
    return {"embedded": done - unreadable, "unreadable": unreadable, "encoder": row.name}


def _items(images: list[Image]) -> tuple[dict[int, Path | bytes], dict[int, str]]:
    """(image id → what the encoder reads, image id → why its file cannot be opened)."""
    items: dict[int, Path | bytes] = {}
    problems: dict[int, str] = {}
    for image in images:
        path = local_path(image)
        if path is not None:
            items[image.pk] = path
            continue
        try:
            with open_original(image) as file:
                items[image.pk] = file.read()
        except FileNotFoundError:
            problems[image.pk] = "the file does not exist"
    return items, problems
