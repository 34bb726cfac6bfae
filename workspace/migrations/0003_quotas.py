import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("workspace", "0002_invitations"),
    ]

    operations = [
        migrations.AddField(
            model_name="workspace",
            name="max_days",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="How long ended deliveries are kept. Empty: as long as everybody’s.",
                null=True,
                validators=[django.core.validators.MinValueValidator(1)],
                verbose_name="days kept, at most",
            ),
        ),
        migrations.AddField(
            model_name="workspace",
            name="max_events_per_minute",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="What is above it is not lost: it is sent later, at this pace. Empty: no limit.",
                null=True,
                validators=[django.core.validators.MinValueValidator(1)],
                verbose_name="events per minute, at most",
            ),
        ),
        migrations.AddField(
            model_name="workspace",
            name="max_webhooks",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Empty: as many as they like.",
                null=True,
                verbose_name="webhooks, at most",
            ),
        ),
    ]
