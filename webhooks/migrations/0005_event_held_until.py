from django.db import migrations, models

from ._concurrently import AddIndexConcurrently


class Migration(migrations.Migration):
    # The table may be large and is written all the time.
    atomic = False

    dependencies = [("webhooks", "0004_delivery_indices")]

    operations = [
        migrations.AddField(
            model_name="event",
            name="held_until",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        AddIndexConcurrently(
            model_name="event",
            index=models.Index(
                condition=models.Q(("held_until__isnull", False)),
                fields=["workspace", "-held_until"],
                name="webhooks_event_held",
            ),
        ),
    ]
