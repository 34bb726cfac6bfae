"""Telling this app's own signals what was recorded. Their receivers run between two batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from . import signals
from .health import Notice
from .models import Attempt, Delivery, Webhook
from .models.database import alias
from .queue import Told, Verdict


def announce_verdicts(verdicts: Iterable[Verdict]) -> None:
    """Send attempt_finished, and delivery_succeeded or delivery_failed, for each, if anybody listens."""
    listened = (signals.attempt_finished, signals.delivery_succeeded, signals.delivery_failed)
    if not any(one.has_listeners() for one in listened):
        return
    verdicts = list(verdicts)
    deliveries = Delivery.objects.using(alias()).in_bulk([one.attempt.delivery_id for one in verdicts])
    for verdict in verdicts:
        delivery = deliveries.get(verdict.attempt.delivery_id)
        if delivery is None:
            continue
        signals.attempt_finished.send_robust(sender=Attempt, attempt=verdict.attempt, delivery=delivery)
        if verdict.status == Delivery.Status.SUCCEEDED:
            signals.delivery_succeeded.send_robust(sender=Delivery, delivery=delivery)
        elif verdict.status == Delivery.Status.FAILED:
            signals.delivery_failed.send_robust(sender=Delivery, delivery=delivery)


def announce_notices(told: Sequence[Told]) -> None:
    """Send webhook_failing, webhook_disabled or webhook_recovered for each webhook that this came over."""
    webhooks = (
        Webhook.objects.using(alias()).select_related("state").in_bulk([one.webhook_id for one in told])
    )
    for one in told:
        webhook = webhooks.get(one.webhook_id)
        if webhook is None:
            continue
        if one.notice is Notice.FAILING:
            signals.webhook_failing.send_robust(
                sender=Webhook, webhook=webhook, since=webhook.state.failing_since
            )
        elif one.notice is Notice.DISABLED:
            reason = webhook.state.disabled_because
            signals.webhook_disabled.send_robust(sender=Webhook, webhook=webhook, reason=reason)
        elif one.notice is Notice.RECOVERED:
            signals.webhook_recovered.send_robust(sender=Webhook, webhook=webhook)
