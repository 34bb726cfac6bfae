from django.db import migrations, models

from ._concurrently import AddIndexConcurrently


class Migration(migrations.Migration):
    # The table may be large and is written all the time.
    atomic = False

    dependencies = [("webhooks", "0002_health_and_limits")]

    operations = [
        AddIndexConcurrently(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("status", "pending")),
                fields=["webhook", "id"],
                name="webhooks_delivery_pending",
            ),
        ),
    ]
