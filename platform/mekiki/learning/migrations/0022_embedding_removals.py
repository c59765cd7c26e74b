import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

# Removals that an older version kept only in its events. The triggers come after it, so that the rows keep the times of
# the events.
FILL = """
INSERT INTO learning_embeddingremoval (dataset_id, encoder_id, removed, removed_at)
SELECT d.id, n.id, (e.data ->> 'removed')::bigint, e.at
FROM audit_event e
JOIN datasets_dataset d ON d.id = e.dataset_id
JOIN learning_encoder n ON n.id::text = e.object_id
WHERE e.kind = 'encoder.embeddings_removed'
ORDER BY e.id
"""


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0001_initial'),
        ('datasets', '0017_changed_files'),
        ('learning', '0021_long_prompts'),
    ]

    operations = [
        migrations.CreateModel(
            name='EmbeddingRemoval',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('removed', models.PositiveBigIntegerField()),
                ('removed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('dataset', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='embedding_removals', to='datasets.dataset')),
                ('encoder', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='removals', to='learning.encoder')),
            ],
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        pgtrigger.migrations.AddTrigger(
            model_name='embeddingremoval',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='d17cba10cd0c400d229982c924a659a418ea08d1', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_c2683', table='learning_embeddingremoval', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='embeddingremoval',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only';", hash='57fda7123450992416cb7549b4e3abb8b21ddcf1', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_7d6bc', table='learning_embeddingremoval', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='embeddingremoval',
            trigger=pgtrigger.compiler.Trigger(name='set_time', sql=pgtrigger.compiler.UpsertTriggerSql(func='NEW.removed_at := pg_catalog.statement_timestamp(); RETURN NEW;', hash='38e5d40239548868510082a97b5e80b3e0bd7d14', operation='INSERT', pgid='pgtrigger_set_time_c3681', table='learning_embeddingremoval', when='BEFORE')),
        ),
    ]
