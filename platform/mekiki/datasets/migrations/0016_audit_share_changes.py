import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

# Changes that an older version kept only in its events. The triggers come after it, so that the rows keep the times of
# the events.
FILL = """
INSERT INTO datasets_auditsharechange (dataset_id, before, after, changed_at)
SELECT x.dataset_id, x.before, x.after, x.at
FROM (
    SELECT e.id, d.id AS dataset_id, e.at,
           (e.data #>> '{before,audit_fraction}')::float8 AS before,
           (e.data #>> '{after,audit_fraction}')::float8 AS after
    FROM audit_event e JOIN datasets_dataset d ON d.id = e.dataset_id
    WHERE e.kind = 'dataset.settings_changed' AND e.data -> 'before' ? 'audit_fraction'
) x
WHERE x.before <> x.after
ORDER BY x.id
"""


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0001_initial'),
        ('datasets', '0015_reword_choices'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditShareChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('before', models.FloatField()),
                ('after', models.FloatField()),
                ('changed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('dataset', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='audit_share_changes', to='datasets.dataset')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('after__gte', 0), ('after__lte', 0.9), ('before__gte', 0), ('before__lte', 0.9)), name='changed_share_in_range'), models.CheckConstraint(condition=models.Q(('before', models.F('after')), _negated=True), name='changed_share_is_another')],
            },
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        pgtrigger.migrations.AddTrigger(
            model_name='auditsharechange',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='5fd2dbb670ee0eac70ca5bfc2f26753b73f597f3', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_80b90', table='datasets_auditsharechange', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditsharechange',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only';", hash='1fbf1d21e300ee58cd95f0ffb2e8529750de4946', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_4fe81', table='datasets_auditsharechange', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditsharechange',
            trigger=pgtrigger.compiler.Trigger(name='set_time', sql=pgtrigger.compiler.UpsertTriggerSql(func='NEW.changed_at := pg_catalog.statement_timestamp(); RETURN NEW;', hash='ad9b48010930b0472c13b1ee2d29a82a979defcf', operation='INSERT', pgid='pgtrigger_set_time_ce859', table='datasets_auditsharechange', when='BEFORE')),
        ),
    ]
