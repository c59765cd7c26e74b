import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

# Retirements that an older version kept only in its events. The triggers come after it, so that the rows keep the times
# of the events.
FILL = """
INSERT INTO review_auditretirement (dataset_id, labels, retired_at)
SELECT d.id, (e.data ->> 'labels')::int, e.at
FROM audit_event e JOIN datasets_dataset d ON d.id = e.dataset_id
WHERE e.kind = 'audit.retired'
ORDER BY e.id
"""


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0001_initial'),
        ('datasets', '0016_audit_share_changes'),
        ('review', '0009_overlap'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditRetirement',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('labels', models.PositiveIntegerField()),
                ('retired_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('dataset', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='audit_retirements', to='datasets.dataset')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('labels__gte', 1)), name='retirement_moves_labels')],
            },
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        pgtrigger.migrations.AddTrigger(
            model_name='auditretirement',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='4b66c32e87f9449dc1c4825774977a22875d8ac1', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_ca2c0', table='review_auditretirement', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditretirement',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only';", hash='30b48e55acd5bc9d18f6d7fcf6266aab4ad5f75d', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_4ce47', table='review_auditretirement', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditretirement',
            trigger=pgtrigger.compiler.Trigger(name='set_time', sql=pgtrigger.compiler.UpsertTriggerSql(func='NEW.retired_at := pg_catalog.statement_timestamp(); RETURN NEW;', hash='ca45b3179b82b1bdd7561ade65cbcc299e9749ca', operation='INSERT', pgid='pgtrigger_set_time_d43a5', table='review_auditretirement', when='BEFORE')),
        ),
    ]
