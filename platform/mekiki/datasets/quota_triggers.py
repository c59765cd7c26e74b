"""Triggers that count what each dataset stores and refuse images above a limit."""

import pgtrigger

# The row of the platform is locked first and the counts of the dataset second, as in datasets.quotas.
# Concurrent imports wait for each other here and cannot exceed a limit together.
_ADDED = """
    PERFORM FROM datasets_platformquota WHERE max_images IS NOT NULL OR max_bytes IS NOT NULL FOR UPDATE;
    INSERT INTO datasets_datasetusage AS u (dataset_id, images, bytes)
    SELECT dataset_id, count(*), sum(size) FROM changed GROUP BY dataset_id ORDER BY dataset_id
    ON CONFLICT (dataset_id) DO UPDATE SET \
images = u.images + EXCLUDED.images, bytes = u.bytes + EXCLUDED.bytes;
    IF EXISTS (
        SELECT FROM datasets_datasetusage u JOIN datasets_dataset d ON d.id = u.dataset_id
        WHERE u.dataset_id IN (SELECT dataset_id FROM changed) \
AND (u.images > d.max_images OR u.bytes > d.max_bytes)
    ) THEN
        RAISE EXCEPTION 'the dataset would store more than its limit' USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (SELECT FROM changed) AND EXISTS (
        SELECT FROM datasets_platformquota q, \
(SELECT sum(images) AS images, sum(bytes) AS bytes FROM datasets_datasetusage) u
        WHERE u.images > q.max_images OR u.bytes > q.max_bytes
    ) THEN
        RAISE EXCEPTION 'the platform would store more than its limit' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
"""
_REMOVED = """
    UPDATE datasets_datasetusage u SET images = u.images - c.images, bytes = u.bytes - c.bytes
    FROM (SELECT dataset_id, count(*) AS images, sum(size) AS bytes FROM changed GROUP BY dataset_id) c
    WHERE u.dataset_id = c.dataset_id;
    RETURN NULL;
"""


def usage_triggers() -> list[pgtrigger.Trigger]:
    """Return the triggers of the table of images. The size of an image never changes."""
    return [
        pgtrigger.Trigger(
            name="count_added",
            level=pgtrigger.Statement,
            when=pgtrigger.After,
            operation=pgtrigger.Insert,
            referencing=pgtrigger.Referencing(new="changed"),
            func=_ADDED,
        ),
        pgtrigger.Trigger(
            name="count_removed",
            level=pgtrigger.Statement,
            when=pgtrigger.After,
            operation=pgtrigger.Delete,
            referencing=pgtrigger.Referencing(old="changed"),
            func=_REMOVED,
        ),
    ]
