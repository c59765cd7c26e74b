import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

# The first report of each changed file, which an older version looked up in its events. The triggers come after it, so
# that the rows keep the times of the events.
FILL = """
INSERT INTO datasets_changedfile (dataset_id, kind, object_id, expected, actual, noticed_at)
SELECT d.id, e.kind, e.object_id, e.data ->> 'expected', e.data ->> 'found', e.at
FROM audit_event e JOIN datasets_dataset d ON d.id = e.dataset_id
WHERE e.kind IN ('image.file_changed', 'label_set.file_changed')
  AND e.data ->> 'expected' <> e.data ->> 'found'
ORDER BY e.id
ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0001_initial'),
        ('datasets', '0016_audit_share_changes'),
    ]

    operations = [
        migrations.CreateModel(
            name='ChangedFile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=60)),
                ('object_id', models.CharField(max_length=64)),
                ('expected', models.CharField(max_length=64)),
                ('actual', models.CharField(max_length=64)),
                ('noticed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('dataset', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='changed_files', to='datasets.dataset')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('dataset', 'kind', 'object_id', 'actual'), name='changed_file_reported_once'), models.CheckConstraint(condition=models.Q(('expected', models.F('actual')), _negated=True), name='changed_file_has_another_hash')],
            },
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        pgtrigger.migrations.AddTrigger(
            model_name='changedfile',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='1d3f1680de274955be9b06129c315a95a66351ca', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_9bd64', table='datasets_changedfile', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='changedfile',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only';", hash='8fa07925e87d290a78ba14870b4eaf41212b1b64', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_2c7d5', table='datasets_changedfile', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='changedfile',
            trigger=pgtrigger.compiler.Trigger(name='set_time', sql=pgtrigger.compiler.UpsertTriggerSql(func='NEW.noticed_at := pg_catalog.statement_timestamp(); RETURN NEW;', hash='369458740efcdeacaa649948e25d84edcf51d95e', operation='INSERT', pgid='pgtrigger_set_time_50edf', table='datasets_changedfile', when='BEFORE')),
        ),
    ]
