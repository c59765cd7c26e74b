from django.db import migrations

# What counted until now: the label that followed from the newest answer, unless a prediction was on the screen.
FILL = """
UPDATE review_confirmedlabel c SET audit_label_id = c.label_id, audited_at = d.created_at
FROM review_decision d
WHERE d.id = c.decision_id AND c.stream = 'audit'
  AND coalesce(d.shown ->> 'stream', 'audit') NOT IN ('uncertain', 'diverse')
"""


class Migration(migrations.Migration):
    dependencies = [("review", "0004_first_audit_answer")]

    operations = [migrations.RunSQL(FILL, migrations.RunSQL.noop)]
