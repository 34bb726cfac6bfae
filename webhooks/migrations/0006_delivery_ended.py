from django.db import migrations, models

from ._concurrently import AddIndexConcurrently, RemoveIndexConcurrently


class Migration(migrations.Migration):
    # The table may be large and is written all the time.
    atomic = False

    dependencies = [("webhooks", "0005_event_held_until")]

    operations = [
        AddIndexConcurrently(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("finished_at__isnull", False)),
                fields=["finished_at"],
                name="webhooks_delivery_ended",
            ),
        ),
        RemoveIndexConcurrently(model_name="delivery", name="webhooks_delivery_finished"),
    ]
