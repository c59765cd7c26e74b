"""Exports of Label Studio as JSON and as JSON-MIN: tasks with annotations and predictions.

Formats: https://labelstud.io/guide/export (JSON, JSON_MIN). Only choices are labels of images.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mekiki.datasets.importing.manifests.json_items import items
from mekiki.datasets.importing.manifests.rows import (
    BadRow,
    ManifestRow,
    ObjectRows,
    Open,
    ReadOptions,
    RowLabel,
    Rows,
    labels_of,
    text_of,
    unnamed_row,
)
from mekiki.datasets.problems import ReportLine

_UPLOADED = "/data/upload/"
_LOCAL = "/data/local-files/"
_IMAGE_KEYS = ("image", "img", "image_url", "url", "picture", "画像")
# Keys of JSON-MIN that describe the annotation and not the image.
_OF_ANNOTATION = {
    *("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "choice"),
}


def read(open_file: Open, options: ReadOptions) -> Rows:
    """Yield the rows of an export: one for each task."""
    objects = ObjectRows(ReadOptions())
    number = 0
    for number, task in enumerate(items(open_file, "item"), 1):
        if not isinstance(task, dict):
            detail = {"row": number, "reason": "object"}
            yield BadRow(number, ReportLine("manifest_row_unreadable", "partly", detail))
            continue
        is_min = not isinstance(task.get("data"), dict)
        data = {k: v for k, v in task.items() if k not in _OF_ANNOTATION} if is_min else task["data"]
        key = _image_key(data)
        if key is None:
            yield unnamed_row(number)
            continue
        labels = _labels_of_min(task, data, key) if is_min else tuple(_labels(task))
        if is_min:
            data = {k: v for k, v in data.items() if k == key or k not in _choice_keys(data, key)}
        rest = {k: v for k, v in data.items() if k != key}
        row = objects.row(number, {"file": path_of(str(data[key])), **rest})
        if isinstance(row, ManifestRow):
            row = ManifestRow(row.line, row.location, row.values, labels if options.takes_labels else ())
        yield row
    yield from objects.lines()


def path_of(address: str) -> str:
    """Return the path or the address of an image by the value of a task.

    Label Studio writes files of its own disk as /data/upload/<project>/<name> and as
    /data/local-files/?d=<path>.
    """
    parts = urlsplit(address) if address.startswith("/") else None
    if parts is not None and parts.path.startswith(_LOCAL):
        return next(iter(parse_qs(parts.query).get("d", [])), address)
    if parts is not None and parts.path.startswith(_UPLOADED):
        return parts.path.removeprefix(_UPLOADED).rpartition("/")[2]
    return address


def _image_key(data: dict[str, Any]) -> str | None:
    for key in _IMAGE_KEYS:
        if isinstance(data.get(key), str):
            return key
    # The labelling configuration may name the value differently.
    return next((k for k, v in data.items() if isinstance(v, str) and ("/" in v or "." in v[-6:])), None)


def _labels(task: dict[str, Any]) -> Iterator[RowLabel]:
    for kind in ("annotations", "completions", "predictions"):
        given = task.get(kind)
        for one in given if isinstance(given, list) else []:
            if not isinstance(one, dict) or one.get("was_cancelled"):
                continue
            is_predicted = kind == "predictions"
            author = one.get("model_version") if is_predicted else one.get("completed_by")
            if isinstance(author, dict):
                author = author.get("email") or author.get("username") or author.get("id")
            texts = [text for result in _list(one.get("result")) for text in _choices(result)]
            yield from labels_of(texts, text_of(author) or "", predicted=is_predicted)


def _choices(result: Any) -> list[str]:
    if not isinstance(result, dict) or result.get("type") not in {"choices", "taxonomy", None}:
        return []
    value = result.get("value")
    chosen = value.get("choices", value.get("taxonomy")) if isinstance(value, dict) else None
    # A taxonomy gives the path to the label: its last part is the label.
    return [str(one[-1]) if isinstance(one, list) and one else str(one) for one in _list(chosen)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _choice_keys(data: dict[str, Any], key: str) -> set[str]:
    """Return the keys of JSON-MIN that hold answers: objects with "choices", or the key "choice"."""
    return {k for k, v in data.items() if k != key and (isinstance(v, dict) and "choices" in v)}


def _labels_of_min(task: dict[str, Any], data: dict[str, Any], key: str) -> tuple[RowLabel, ...]:
    texts: list[str] = []
    for value in (task.get("choice"), *(data[k] for k in sorted(_choice_keys(data, key)))):
        if isinstance(value, dict):
            texts += map(str, _list(value["choices"]))
        elif isinstance(value, str):
            texts.append(value)
    return labels_of(texts, text_of(task.get("annotator")) or "")
