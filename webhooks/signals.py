"""The signals this app sends, always with `send_robust`: a receiver that raises is logged and harms nothing.

Receivers run in the process that sends the deliveries, between two batches: keep them short.
"""

from django.dispatch import Signal

# An event was written, inside the caller's transaction. sender: Event. event: Event.
event_emitted = Signal()

# An attempt was recorded. sender: Attempt. attempt: Attempt; delivery: Delivery, as it is after the attempt.
attempt_finished = Signal()

# A delivery ended with success. sender: Delivery. delivery: Delivery.
delivery_succeeded = Signal()

# A delivery ended without success; `delivery.ended_because` says why. sender: Delivery. delivery: Delivery.
delivery_failed = Signal()

# A webhook has failed for a while and is paused. sender: Webhook. webhook: Webhook; since: aware datetime.
webhook_failing = Signal()

# A webhook was disabled by the machine. sender: Webhook. webhook: Webhook; reason: str.
webhook_disabled = Signal()

# A webhook that was failing delivered again. sender: Webhook. webhook: Webhook.
webhook_recovered = Signal()
