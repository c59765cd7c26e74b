"""The sealed form of changes of an audit share."""

from mekiki.audit.sealed_tables import SealedTable, utc_text

AUDIT_SHARE_CHANGES = SealedTable(
    name="audit_share_changes",
    relation="datasets_auditsharechange",
    columns={
        "id": "t.id",
        "dataset_id": "t.dataset_id",
        "before": "t.before",
        "after": "t.after",
        "changed_at": utc_text("t.changed_at"),
    },
)
