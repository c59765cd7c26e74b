"""Triggers that log added and removed embeddings, so that copies of the embeddings can be updated."""

import pgtrigger

_RECORD = """
    INSERT INTO learning_embeddingchange (id, encoder_id, dataset_id, low, high, rows)
    SELECT gen_random_uuid(), c.encoder_id, i.dataset_id, min(c.image_id), max(c.image_id), {sign}count(*)
    FROM changed c LEFT JOIN datasets_image i ON i.id = c.image_id GROUP BY c.encoder_id, i.dataset_id;
    RETURN NULL;
"""


def recorded_changes() -> list[pgtrigger.Trigger]:
    """Return the triggers that write a row of learning_embeddingchange for each dataset and encoder.

    They run once for each SQL statement. The image must exist at that moment (dataset_id is not null).
    Embeddings are written after their image and deleted before it.
    """
    return [
        pgtrigger.Trigger(
            name="added",
            level=pgtrigger.Statement,
            when=pgtrigger.After,
            operation=pgtrigger.Insert,
            referencing=pgtrigger.Referencing(new="changed"),
            func=_RECORD.format(sign=""),
        ),
        pgtrigger.Trigger(
            name="removed",
            level=pgtrigger.Statement,
            when=pgtrigger.After,
            operation=pgtrigger.Delete,
            referencing=pgtrigger.Referencing(old="changed"),
            func=_RECORD.format(sign="-"),
        ),
        # A copy is built again from the start if log rows that it has applied are missing.
        pgtrigger.Trigger(
            name="emptied",
            level=pgtrigger.Statement,
            when=pgtrigger.After,
            operation=pgtrigger.Truncate,
            func="DELETE FROM learning_embeddingchange; RETURN NULL;",
        ),
    ]
