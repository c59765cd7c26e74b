from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

# Finished items whose reviewers disagreed before disputes were stored: all answers are given, no label has a
# majority, and no later answer was given under another item.
FIND = """
WITH vote AS (
    SELECT DISTINCT ON (d.item_id, d.user_id) d.item_id, d.label_id, d.late, d.id
    FROM review_decision d JOIN review_queueitem q ON q.id = d.item_id
    WHERE q.overlap > 1 AND q.state = 'done' AND d.kind IN ('confirm', 'correct')
      AND NOT EXISTS (SELECT FROM review_decision u WHERE u.supersedes_id = d.id)
    ORDER BY d.item_id, d.user_id, d.late, d.id
), counted AS (
    SELECT v.*, row_number() OVER (PARTITION BY item_id ORDER BY late, id) AS place FROM vote v
), tally AS (
    SELECT c.item_id, count(*) AS n FROM counted c JOIN review_queueitem q ON q.id = c.item_id
    WHERE c.place <= q.overlap GROUP BY c.item_id, c.label_id
), disputed AS (
    SELECT t.item_id FROM tally t JOIN review_queueitem q ON q.id = t.item_id
    GROUP BY t.item_id, q.overlap HAVING sum(t.n) >= q.overlap AND max(t.n) * 2 <= q.overlap
)
UPDATE review_queueitem q SET disputed_at = coalesce(q.finished_at, now())
FROM disputed WHERE disputed.item_id = q.id
  AND NOT EXISTS (SELECT FROM review_confirmedlabel c JOIN review_decision d ON d.id = c.decision_id
                  WHERE c.image_id = q.image_id AND d.item_id > q.id)
"""


class Migration(migrations.Migration):
    atomic = False  # The index is built outside of a transaction.
    dependencies = [("review", "0008_streamoverlap")]

    operations = [
        migrations.AddField(
            model_name="queueitem", name="disputed_at", field=models.DateTimeField(null=True)
        ),
        migrations.RunSQL(FIND, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="queueitem",
            constraint=models.CheckConstraint(
                condition=models.Q(disputed_at__isnull=True) | models.Q(overlap__gte=2),
                name="dispute_needs_two_reviewers",
            ),
        ),
        AddIndexConcurrently(
            model_name="queueitem",
            index=models.Index(
                fields=["dataset", "id"],
                condition=models.Q(disputed_at__isnull=False),
                name="queue_disputed",
            ),
        ),
    ]
