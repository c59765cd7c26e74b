"""COCO annotations: images with categories. An image is used if all its annotations name one category.

Format: https://cocodataset.org/#format-data. Boxes and masks are not read.
"""

import sqlite3
from contextlib import closing

from mekiki.datasets.importing.manifests.json_items import items
from mekiki.datasets.importing.manifests.rows import (
    BadRow,
    ManifestRow,
    Open,
    ReadOptions,
    Rows,
    labels_of,
    location_of,
    text_of,
    unnamed_row,
)
from mekiki.datasets.problems import ReportLine


def read(open_file: Open, options: ReadOptions) -> Rows:
    """Yield a row for each image. The file is read three times, so that memory stays flat."""
    names = {
        text_of(one.get("id")): text_of(one.get("name")) or ""
        for one in items(open_file, "categories.item")
        if isinstance(one, dict)
    }
    # An empty name: a temporary database on the disk, which SQLite deletes with the connection.
    with closing(sqlite3.connect("", isolation_level=None)) as store:
        store.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;"
            "CREATE TABLE given (image TEXT, category TEXT, PRIMARY KEY (image, category)) WITHOUT ROWID;"
        )
        if options.takes_labels:
            store.executemany(
                "INSERT OR IGNORE INTO given VALUES (?, ?)",
                (
                    (text_of(one.get("image_id")), text_of(one.get("category_id")))
                    for one in items(open_file, "annotations.item")
                    if isinstance(one, dict)
                ),
            )
        for number, image in enumerate(items(open_file, "images.item"), 1):
            location = _location(image) if isinstance(image, dict) else ""
            if not location:
                yield unnamed_row(number)
                continue
            rows = store.execute(
                "SELECT category FROM given WHERE image = ? LIMIT 2", (text_of(image.get("id")),)
            ).fetchall()
            if len(rows) > 1:
                detail = {"row": number, "cell": location[-200:]}
                yield BadRow(number, ReportLine("manifest_several_labels", "partly", detail))
            category = names.get(rows[0][0], "") if len(rows) == 1 else ""
            yield ManifestRow(number, location, {}, labels_of([category]))


def _location(image: dict[str, object]) -> str:
    for key in ("file_name", "coco_url", "path"):
        if isinstance(text := image.get(key), str) and text.strip():
            return location_of(text)
    return ""
