"""The contender: what one would write first. A django-q2 task per delivery, the ORM, and a requests.Session."""

import requests
from django.utils import timezone

from webhooks import encoding, signing
from webhooks.models import Attempt, Delivery

_session = requests.Session()


def deliver(pk: int) -> None:
    delivery = Delivery.objects.select_related("event", "webhook").get(pk=pk)
    webhook, event = delivery.webhook, delivery.event
    body = encoding.encode_json(event.envelope)
    started_at = timezone.now()
    stamp = int(started_at.timestamp())
    headers = {
        "Content-Type": webhook.content_type,
        "X-Signature": signing.x_signature(webhook.secret, body),
        "webhook-id": str(event.pk),
        "webhook-timestamp": str(stamp),
        "webhook-signature": signing.standard_signature(webhook.secret, str(event.pk), stamp, body),
    }
    response = _session.post(webhook.callback_url, data=body, headers=headers, timeout=(5, 15))
    Attempt.objects.create(
        delivery=delivery,
        number=delivery.attempt_count + 1,
        started_at=started_at,
        duration_ms=round(response.elapsed.total_seconds() * 1000),
        outcome="success" if response.ok else "transient",
        status_code=response.status_code,
        request_method="POST",
        request_url=webhook.callback_url,
        request_headers=headers,
        response_headers=dict(response.headers),
        response_body=response.text,
    )
    delivery.status = "succeeded" if response.ok else "failed"
    delivery.attempt_count += 1
    delivery.finished_at = timezone.now()
    delivery.due_at = None
    delivery.save()
