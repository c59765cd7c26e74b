"""The rows of a label set's file, created from its entries with the lineage of each label.

The lineage shows who or which head set the label, when, and what was on the screen.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.db import connection

from mekiki.exports.models import LabelSet
from mekiki.exports.sealed_rows import SealIndex, horizons
from mekiki.labeling.models import PromptSet
from mekiki.learning.models import Head
from verification.label_set import format as form

BATCH = 5000
EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "BMP": "bmp", "TIFF": "tiff", "GIF": "gif"}

# Rows are read in batches by position, so memory stays small and no transaction is open during the export.
_ROWS = """
SELECT e.position, i.id, i.sha256, i.name, i.format, i.metadata::text, e.label_id, e.opinions, e.head_id,
       e.confidence, d.id, d.kind, d.late, d.created_at, d.shown::text, u.username, q.stream, q.propensity,
       q.head_id, d.image_id, d.item_id, d.user_id, d.note, d.supersedes_id, d.client_key::text, \
d.milliseconds
FROM exports_labelsetentry e
JOIN datasets_image i ON i.id = e.image_id
LEFT JOIN review_decision d ON d.id = e.decision_id
LEFT JOIN accounts_user u ON u.id = d.user_id
LEFT JOIN review_queueitem q ON q.id = d.item_id
WHERE e.label_set_id = %s AND e.position > %s AND e.position <= %s
ORDER BY e.position
"""


class Lineage:
    """The rows of a label set, and the heads and prompt sets that these rows name."""

    def __init__(self, label_set: LabelSet) -> None:
        self.label_set = label_set
        self.has_rulings = False  # among the rows read so far
        self.seals = SealIndex(horizons(label_set))
        # None without machine labels, and if an older version of the platform fixed the entries.
        self._machine: dict[str, Any] | None = label_set.snapshot.get("machine")
        self.labels = {x["id"]: (x["name"], x["critical"]) for x in label_set.snapshot["labels"]}
        heads = (
            Head.objects.filter(dataset_id=label_set.dataset_id)
            .select_related("encoder", "prompt_set")
            .defer("weights")
        )
        self._heads = {head.version: head for head in heads}
        self._version = {head.pk: head.version for head in self._heads.values()}
        self._origins: dict[int | None, dict[str, Any]] = {
            None: {"head": None, "prompt_set": None, "encoder": None}
        }

    def batches(self) -> Iterator[list[tuple[int, dict[str, Any]]]]:
        """Yield lists of (image id, row) in the order of the entries, up to BATCH rows at a time.

        Raises RuntimeError if entries, images or decisions are missing.
        """
        total = self.label_set.human_labels + self.label_set.machine_labels
        for start in range(0, total, BATCH):
            with connection.cursor() as cursor:
                cursor.execute(_ROWS, [self.label_set.pk, start, start + BATCH])
                rows = cursor.fetchall()
            if len(rows) != min(BATCH, total - start):
                raise RuntimeError(f"Label set {self.label_set.pk} lost entries, images or decisions.")
            yield [(record[1], self._row(record)) for record in rows]

    def _row(self, record: tuple[Any, ...]) -> dict[str, Any]:
        (
            _position,
            _image_id,
            sha256,
            name,
            kind_of_file,
            metadata,
            label_id,
            opinions,
            machine_head,
            confidence,
            decision_id,
            decision_kind,
            late,
            decided_at,
            shown_text,
            reviewer,
            item_stream,
            item_propensity,
            item_head,
            *rest,
        ) = record
        label, critical = self.labels[label_id]
        human = decision_id is not None
        self.has_rulings = self.has_rulings or decision_kind == form.RULING
        seen = json.loads(shown_text) if human else {}
        blind = bool(seen.get("blind")) if human else None
        if human:
            # A blind item or an item without a prediction shows no head. The head in use at its draw is used.
            version = seen.get("head") or self._version.get(item_head)
        else:
            version = self._version[machine_head]
        origin = self._origin(version)
        shown = None
        if human and not blind and seen.get("label") is not None:
            shown = {
                "label": seen["label_name"],
                "label_id": seen["label"],
                "confidence": seen["confidence"],
                "calibrated": bool(seen["calibrated"]),
            }
        row = {
            "image_sha256": sha256,
            "file_name": name,
            "label": label,
            "label_id": label_id,
            "critical": critical,
            "source": form.HUMAN if human else self._machine["kind"] if self._machine else form.MACHINE,
            "reviewer": reviewer,
            "decided_at": _utc(decided_at) if human else None,
            "decision_id": decision_id,
            "decision_kind": decision_kind,
            "late": late,
            "opinions": opinions,
            "stream": (seen.get("stream") or item_stream) if human else None,
            "propensity": (seen.get("propensity") or item_propensity) if human else None,
            "blind": blind,
            "shown": shown,
            "head": origin["head"],
            "prompt_set": origin["prompt_set"],
            "encoder": origin["encoder"],
            "confidence": confidence,
            "image_file": image_file(sha256, kind_of_file) if self.label_set.include_images else None,
            "metadata": _metadata(metadata),
            "sealed": self._sealed(decision_id, seen, rest) if human else None,
        }
        if self._machine is not None:
            row["certificate"] = None if human else self._machine["certificate"]
        return row

    @property
    def format_version(self) -> int:
        """The format version of the label set, known when all rows were read."""
        return form.version_of(rulings=self.has_rulings, machine=self._machine is not None)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of labels.csv."""
        return (*form.COLUMNS, "certificate") if self._machine is not None else form.COLUMNS

    def _sealed(self, decision_id: int, seen: dict[str, Any], rest: list[Any]) -> dict[str, Any]:
        """Return a decision's position under the seals, and its sealed fields that the row lacks."""
        image_id, item_id, user_id, note, supersedes_id, client_key, milliseconds = rest
        seal, index = self.seals.place_of(decision_id)
        return {
            "seal": seal,
            "index": index,
            "dataset_id": self.label_set.dataset_id,
            "image_id": image_id,
            "item_id": item_id,
            "user_id": user_id,
            "note_sha256": hashlib.sha256(note.encode()).hexdigest() if note else "",
            "shown": seen,
            "supersedes_id": supersedes_id,
            "client_key": client_key,
            "milliseconds": milliseconds,
        }

    def _origin(self, version: int | None) -> dict[str, Any]:
        origin = self._origins.get(version)
        if origin is None:
            head = self._heads[version]  # type: ignore[index]
            origin = self._origins[version] = {
                "head": {"version": head.version, "digest": head.digest},
                "prompt_set": {"version": head.prompt_set.version, "digest": head.prompt_set.digest},
                "encoder": {"name": head.encoder.name, "digest": head.encoder.digest},
            }
        return origin

    def heads(self) -> list[Head]:
        """Return the heads that the rows read so far name, the oldest first."""
        return [self._heads[v] for v in sorted(v for v in self._origins if v is not None)]


def image_file(sha256: str, kind: str) -> str:
    """Return the path of an image in the zip.

    The path uses the hash of the image, because a name that a person chose is never used as a path.
    """
    return f"{form.IMAGES}{sha256}.{EXTENSIONS.get(kind, 'bin')}"


@lru_cache(maxsize=4096)
def _metadata(text: str) -> dict[str, Any]:
    """Return an image's metadata, sorted by name. Images with the same text share the result."""
    return dict(sorted(json.loads(text).items()))


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def heads_book(heads: list[Head]) -> dict[str, Any]:
    """Return the contents of heads.json: each head that a row names, and its origin."""
    return {
        "heads": [
            {
                "version": head.version,
                "kind": head.kind,
                "digest": head.digest,
                "calibrated": head.calibrated,
                "encoder": {"name": head.encoder.name, "digest": head.encoder.digest},
                "encoder_precision": head.encoder.precision,
                "prompt_set": head.prompt_set.version,
                "label_ids": list(head.label_ids),
                "trained_on": head.n_labels,
                "decisions_digest": head.decisions_digest,
                "seed": head.seed,
                "code_version": head.code_version,
                # Only of a head that was trained without the images of a saved view.
                **(
                    {"without": {"view": head.without_view, "query": head.without_query}}
                    if head.without_query
                    else {}
                ),
                "created_at": _utc(head.created_at),
            }
            for head in heads
        ]
    }


def schema_book(label_set: LabelSet, heads: list[Head]) -> dict[str, Any]:
    """Return the contents of schema.json: the labels when the set was frozen, and the heads' prompt sets."""
    sets = (
        PromptSet.objects.filter(pk__in={head.prompt_set_id for head in heads})
        .order_by("version")
        .prefetch_related("prompts")
    )
    return {
        "dataset": label_set.snapshot["dataset"],
        "labels": label_set.snapshot["labels"],
        # Sets that were frozen before labels had versions have none.
        **{
            name: label_set.snapshot[name]
            for name in ("schema_version", "schema_digest")
            if name in label_set.snapshot
        },
        "prompt_sets": [
            {
                "version": prompt_set.version,
                "digest": prompt_set.digest,
                "prompts": [
                    {"label_id": prompt.label_id, "text": prompt.text}
                    for prompt in sorted(
                        prompt_set.prompts.all(), key=lambda p: (p.label_id, p.position, p.pk)
                    )
                ],
            }
            for prompt_set in sets
        ],
    }
