"""The sealed form of decisions and of retirements of the audit sample.

The image of a decision is identified by its hash, so that a label set can show which data was sealed.
"""

from mekiki.audit.sealed_tables import SealedTable, utc_text

DECISIONS = SealedTable(
    name="decisions",
    relation="review_decision",
    source="review_decision t JOIN datasets_image i ON i.id = t.image_id",
    columns={
        "id": "t.id",
        "dataset_id": "t.dataset_id",
        "image_id": "t.image_id",
        "image_sha256": "i.sha256",
        "item_id": "t.item_id",
        "user_id": "t.user_id",
        "kind": "t.kind",
        "label_id": "t.label_id",
        "reason": "t.reason",
        # A note is for colleagues and must not appear in a label set, so only its hash is sealed.
        "note_sha256": (
            "CASE WHEN t.note = '' THEN '' ELSE encode(sha256(convert_to(t.note, 'UTF8')), 'hex') END"
        ),
        "shown": "t.shown",
        "supersedes_id": "t.supersedes_id",
        "client_key": "t.client_key::text",
        "late": "t.late",
        "milliseconds": "t.milliseconds",
        "created_at": utc_text("t.created_at"),
    },
    json=frozenset({"shown"}),
    optional=frozenset({"reason"}),
)

AUDIT_RETIREMENTS = SealedTable(
    name="audit_retirements",
    relation="review_auditretirement",
    columns={
        "id": "t.id",
        "dataset_id": "t.dataset_id",
        "labels": "t.labels",
        "retired_at": utc_text("t.retired_at"),
    },
)
