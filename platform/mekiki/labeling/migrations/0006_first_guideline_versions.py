from django.db import migrations

# Guidelines that were written before versions were kept: their author and their time are in the events.
FILL = """
INSERT INTO labeling_guidelineversion (label_id, version, text)
SELECT id, 1, guideline FROM labeling_label WHERE guideline <> '' ORDER BY id
"""


class Migration(migrations.Migration):
    dependencies = [("labeling", "0005_guideline_versions")]

    operations = [migrations.RunSQL(FILL, migrations.RunSQL.noop)]
