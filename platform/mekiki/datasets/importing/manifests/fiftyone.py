"""labels.json of FiftyOne's ImageClassificationDataset: file names without extension, with a label.

Format: https://docs.voxel51.com/user_guide/dataset_creation/datasets.html#image-classification-dataset
"""

from typing import Any

from mekiki.datasets.importing.manifests.json_items import items, pairs
from mekiki.datasets.importing.manifests.rows import (
    ManifestRow,
    Open,
    ReadOptions,
    Rows,
    labels_of,
    location_of,
    text_of,
)


def read(open_file: Open, options: ReadOptions) -> Rows:
    """Yield a row for each file. A label is a name, or the number of a name in "classes"."""
    classes = [text_of(name) or "" for name in items(open_file, "classes.item")]
    for number, (name, given) in enumerate(pairs(open_file, "labels"), 1):
        labels = labels_of([_label(given, classes)]) if options.takes_labels else ()
        yield ManifestRow(number, location_of(name), {}, labels)


def _label(given: Any, classes: list[str]) -> str:
    if isinstance(given, dict):
        given = given.get("label")
    if isinstance(given, int | float) and not isinstance(given, bool):
        return classes[int(given)] if 0 <= given < len(classes) else ""
    return given if isinstance(given, str) else ""
