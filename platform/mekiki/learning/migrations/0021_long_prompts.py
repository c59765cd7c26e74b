import django.db.models.deletion
from django.db import migrations, models

# What older versions kept in the metrics of heads, in the facts of prepared encoders and in the results of jobs. The
# length of a prompt depends on its text alone, so the names of labels are not compared.
FILL = """
INSERT INTO learning_longprompt (encoder_id, prompt_id, tokens, context)
SELECT DISTINCT ON (s.encoder_id, p.id) s.encoder_id, p.id, (x ->> 'tokens')::int, (x ->> 'context')::int
FROM (
    SELECT encoder_id, prompt_set_id, metrics -> 'long_prompts' AS prompts FROM learning_head
    UNION ALL
    SELECT c.to_encoder_id, t.id, c.facts -> 'long_prompts'
    FROM learning_encoderchange c JOIN labeling_promptset t ON t.dataset_id = c.dataset_id
    WHERE c.state = 'ready' AND c.to_encoder_id IS NOT NULL
    UNION ALL
    SELECT h.encoder_id, t.id, j.result -> 'long_prompts'
    FROM jobs_job j
    JOIN labeling_promptset t ON t.dataset_id = j.dataset_id AND t.version::text = j.result ->> 'prompt_set'
    JOIN learning_champion c ON c.dataset_id = j.dataset_id
    JOIN learning_head h ON h.id = c.head_id
    WHERE j.number IN (
        SELECT max(number) FROM jobs_job
        WHERE kind IN ('predict', 'train', 'change_encoder') AND state = 'succeeded' AND result ? 'prompt_set'
        GROUP BY dataset_id
    )
) s
CROSS JOIN LATERAL jsonb_array_elements(
    CASE WHEN jsonb_typeof(s.prompts) = 'array' THEN s.prompts ELSE '[]'::jsonb END
) x
JOIN labeling_prompt p ON p.prompt_set_id = s.prompt_set_id AND p.text = x ->> 'prompt'
WHERE (x ->> 'tokens')::int > (x ->> 'context')::int
ORDER BY s.encoder_id, p.id
"""


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0013_number'),
        ('labeling', '0006_first_guideline_versions'),
        ('learning', '0020_reword_choices'),
    ]

    operations = [
        migrations.CreateModel(
            name='LongPrompt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('tokens', models.PositiveIntegerField()),
                ('context', models.PositiveIntegerField()),
                ('encoder', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='long_prompts', to='learning.encoder')),
                ('prompt', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='labeling.prompt')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('encoder', 'prompt'), name='long_prompt_once'), models.CheckConstraint(condition=models.Q(('tokens__gt', models.F('context'))), name='long_prompt_exceeds_context')],
            },
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
