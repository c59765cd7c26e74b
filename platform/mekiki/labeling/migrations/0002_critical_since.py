from django.db import migrations, models

# What the audit log knows of labels that were marked, and whose mark was taken off.
_BACKFILL = """
WITH moments AS (
    SELECT object_id,
           max(at) FILTER (WHERE data->'to'->>'critical' = 'true') AS since,
           max(at) FILTER (WHERE data->'to'->>'critical' = 'false') AS until
    FROM audit_event WHERE kind = 'label.changed' AND object_type = 'label' GROUP BY object_id
)
UPDATE labeling_label l
SET critical_since = COALESCE(m.since, CASE WHEN l.critical THEN l.created_at END), critical_until = m.until
FROM labeling_label me LEFT JOIN moments m ON m.object_id = me.id::text
WHERE me.id = l.id AND (l.critical OR m.since IS NOT NULL OR m.until IS NOT NULL)
"""


class Migration(migrations.Migration):
    """When a label was last marked critical, and when the mark was last taken off."""

    dependencies = [
        ("audit", "0001_initial"),
        ("labeling", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="label", name="critical_since", field=models.DateTimeField(null=True)
        ),
        migrations.AddField(
            model_name="label", name="critical_until", field=models.DateTimeField(null=True)
        ),
        migrations.RunSQL(_BACKFILL, migrations.RunSQL.noop),
    ]
