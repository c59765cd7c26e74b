"""The format of a label set: names, fields, and their text forms.

The writer of the platform and the verifier share this module.
docs/reference/label-set.md describes the format field by field. Change FORMAT_VERSION together with it.
"""

import json
from collections.abc import Mapping
from typing import Any

from verification.cells import safe_cell

FORMAT = "mekiki-label-set"
FORMAT_VERSION = 4
# Version 1 had no seals. Version 3 is version 2 with rulings of adjudicators. Only label sets with rulings
# have it, so that an older verifier, which does not know rulings, still checks all others. Version 4 says of
# each label set by machine whether a certificate set it. Label sets without machine labels do not have it.
VERSIONS = (1, 2, 3, 4)

README = "README.txt"
SCHEMA = "schema.json"
HEADS = "heads.json"
ROWS = "labels.jsonl"
TABLE = "labels.csv"
IMAGES = "images/"
SEALS = "seals.jsonl"
KEYS = "keys.json"
CERTIFICATE = "certificate.json"
AUDIT = "certificate_audit.jsonl"
POOL = "certificate_pool.csv"
MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
PUBLIC_KEY = "public_key.pem"

# Files of every label set. The manifest lists them with size and SHA-256.
LISTED = (README, SCHEMA, HEADS, ROWS, TABLE, SEALS, KEYS)
SINCE_2 = (SEALS, KEYS)
# Files of a label set with labels that a certificate set.
CERTIFICATE_FILES = (CERTIFICATE, AUDIT, POOL)
# Files that the manifest does not list: the manifest itself, its signature, and the key of the signature.
SEALING = (MANIFEST, SIGNATURE, PUBLIC_KEY)

HUMAN = "human"
MACHINE = "machine"  # before version 4
CERTIFIED = "certified"
UNCERTIFIED = "uncertified"
ANSWERS = ("confirm", "correct")
RULING = "rule"
STREAMS = ("uncertain", "diverse", "audit", "gold", "recheck", "certify")

# The fields of a row of labels.jsonl, in their order.
FIELDS = (
    "image_sha256",
    "file_name",
    "label",
    "label_id",
    "critical",
    "source",
    "reviewer",
    "decided_at",
    "decision_id",
    "decision_kind",
    "late",
    "opinions",
    "stream",
    "propensity",
    "blind",
    "shown",
    "head",
    "prompt_set",
    "encoder",
    "confidence",
    "image_file",
    "metadata",
    "sealed",
)
# The fields of a row since version 4. `certificate` is its number in the dataset.
FIELDS_4 = (*FIELDS, "certificate")
# The position of a person's decision under the seals, and the rest of its sealed record
# (docs/reference/seals.md).
SEALED = (
    "seal",
    "index",
    "dataset_id",
    "image_id",
    "item_id",
    "user_id",
    "note_sha256",
    "shown",
    "supersedes_id",
    "client_key",
    "milliseconds",
)
# Fields that are not in labels.csv, because they are of no use in a spreadsheet.
EXACT_ONLY = ("sealed",)
# Nested fields: field → keys. Each key is a separate column of labels.csv.
NESTED = {
    "shown": ("label", "label_id", "confidence", "calibrated"),
    "head": ("version", "digest"),
    "prompt_set": ("version", "digest"),
    "encoder": ("name", "digest"),
}
COLUMNS = tuple(
    column
    for field in FIELDS
    if field not in EXACT_ONLY
    for column in ([f"{field}_{key}" for key in NESTED[field]] if field in NESTED else [field])
)


def version_of(*, rulings: bool, machine: bool = False) -> int:
    """Return the format version of a label set with or without rulings and machine labels."""
    if machine:
        return 4
    return 3 if rulings else 2


def columns(version: int) -> tuple[str, ...]:
    """Return the first line of labels.csv in a format version."""
    return (*COLUMNS, "certificate") if version > 3 else COLUMNS


def decision_kinds(version: int) -> tuple[str, ...]:
    """Return the kinds of decisions that set a label in a format version."""
    return (*ANSWERS, RULING) if version > 2 else ANSWERS


def fields(version: int) -> tuple[str, ...]:
    """Return the fields of a row in a format version, in their order."""
    if version > 3:
        return FIELDS_4
    return FIELDS if version > 1 else tuple(field for field in FIELDS if field != "sealed")


def listed(version: int, *, certified: bool = False) -> tuple[str, ...]:
    """Return the files of a label set of a format version, except the images."""
    if version == 1:
        return tuple(name for name in LISTED if name not in SINCE_2)
    return (*LISTED, *CERTIFICATE_FILES) if certified else LISTED


def canonical(value: Any) -> bytes:
    """Return canonical JSON: sorted keys, no spaces, UTF-8. Raises ValueError for NaN and infinities."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode()


_row_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def row_line(row: Mapping[str, Any]) -> bytes:
    """Return a line of labels.jsonl: fields in the order of `fields`, no spaces, UTF-8, a newline."""
    return _row_encoder.encode(row).encode() + b"\n"


def _cell(value: Any) -> str:
    kind = type(value)
    if kind is str:
        return safe_cell(value)
    if value is None:
        return ""
    if kind is bool:
        return "true" if value else "false"
    if kind is dict:
        return safe_cell(_row_encoder.encode(value))
    return str(value)


_FLAT_THEN_NESTED = tuple((field, NESTED.get(field)) for field in FIELDS if field not in EXACT_ONLY)
_EMPTY = {field: [""] * len(keys) for field, keys in NESTED.items()}


def row_cells(row: Mapping[str, Any]) -> list[str]:
    """Return a row as cells of labels.csv, in the order of `columns`."""
    cells: list[str] = []
    for field, keys in _FLAT_THEN_NESTED:
        value = row[field]
        if keys is None:
            cells.append(_cell(value))
        elif value is None:
            cells += _EMPTY[field]
        else:
            cells += [_cell(value[key]) for key in keys]
    if "certificate" in row:
        cells.append(_cell(row["certificate"]))
    return cells
