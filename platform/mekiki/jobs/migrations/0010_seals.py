from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0009_sweeper_has_its_own_rhythm'),
    ]

    operations = [
        migrations.AlterField(
            model_name='job',
            name='kind',
            field=models.CharField(choices=[('import_images', 'Import images'), ('encode', 'Compute embeddings'), ('predict', 'Predict by prompts'), ('train', 'Retrain'), ('refill', 'Choose the next images'), ('freeze', 'Freeze label set'), ('change_encoder', 'Change the encoder'), ('remove_embeddings', 'Remove embeddings'), ('index', 'Build the search index'), ('verify_head', 'Repeat a training'), ('seal', 'Seal events and answers'), ('check_seals', 'Check the seals'), ('rebuild_pictures', 'Make display pictures again')], max_length=20),
        ),
    ]
