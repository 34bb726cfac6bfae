from django.db import migrations, models

from ._concurrently import AddIndexConcurrently, RemoveIndexConcurrently


class Migration(migrations.Migration):
    # The table may be large and is written all the time.
    atomic = False

    dependencies = [("webhooks", "0003_delivery_pending")]

    operations = [
        AddIndexConcurrently(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("due_at__isnull", False)),
                fields=["webhook", "due_at"],
                name="webhooks_delivery_due_of",
            ),
        ),
        AddIndexConcurrently(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("claim__isnull", False)),
                fields=["due_at", "webhook"],
                name="webhooks_delivery_in_flight",
            ),
        ),
        RemoveIndexConcurrently(model_name="delivery", name="webhooks_delivery_claimed"),
        AddIndexConcurrently(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("finished_at__isnull", True)),
                fields=["webhook", "id"],
                name="webhooks_delivery_unfinished",
            ),
        ),
        RemoveIndexConcurrently(model_name="delivery", name="webhooks_delivery_pending"),
        AddIndexConcurrently(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("lost_claims__gte", 3)),
                fields=["due_at"],
                name="webhooks_delivery_suspects",
            ),
        ),
        RemoveIndexConcurrently(model_name="delivery", name="webhooks_delivery_suspect"),
    ]
