"""The JSON of events, deliveries and attempts: what the product writes, and people read."""

from __future__ import annotations

import json
from typing import Any

from rest_framework import serializers

from ..exceptions import InvalidRequest
from ..models import Attempt, Delivery, Event
from ..request import request_body
from .health import ExplainedAttempt


class EventSummarySerializer(serializers.ModelSerializer[Event]):
    class Meta:
        model = Event
        fields = ["id", "type", "occurred_at"]


def _shows_payloads(serializer: serializers.BaseSerializer[Any]) -> bool:
    """Return whether `context["payloads"]` says that the user may see event data and bodies."""
    return bool(serializer.context.get("payloads"))


class EventSerializer(serializers.ModelSerializer[Event]):
    data = serializers.SerializerMethodField()  # type: ignore[assignment]  # a field, taken by the metaclass

    class Meta:
        model = Event
        fields = ["id", "type", "subject", "data", "idempotency_key", "is_test", "occurred_at"]

    def get_data(self, event: Event) -> Any:
        return json.loads(event.data) if _shows_payloads(self) else None


class AttemptSerializer(ExplainedAttempt, serializers.ModelSerializer[Attempt]):
    """`context["body"]` is the request's body, rebuilt from the event; None: payloads are not shown."""

    request = serializers.SerializerMethodField()
    response = serializers.SerializerMethodField()

    class Meta:
        model = Attempt
        fields = [
            "number",
            "started_at",
            "duration_ms",
            "outcome",
            "status_code",
            "error_kind",
            "error",
            "explanation",
            "advice",
            "request",
            "response",
        ]

    def get_request(self, attempt: Attempt) -> dict[str, Any]:
        body = self.context["body"]
        return {
            "method": attempt.request_method,
            "url": attempt.url_without_payload if body is None else attempt.request_url,
            "headers": attempt.request_headers,
            "body": body,
        }

    def get_response(self, attempt: Attempt) -> dict[str, Any]:
        if self.context["body"] is None:
            # A receiver may answer with what it was sent, in its headers too.
            return {"headers": None, "body": None, "truncated": attempt.response_truncated}
        return {
            "headers": attempt.response_headers,
            "body": attempt.response_body,
            "truncated": attempt.response_truncated,
        }


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    event = EventSummarySerializer()

    class Meta:
        model = Delivery
        fields = [
            "id",
            "event",
            "webhook",
            "status",
            "ended_because",
            "attempt_count",
            "due_at",
            "created_at",
            "finished_at",
        ]


class DeliveryDetailSerializer(DeliverySerializer):
    attempts = serializers.SerializerMethodField()

    class Meta(DeliverySerializer.Meta):
        fields = [*DeliverySerializer.Meta.fields, "attempts"]

    def get_attempts(self, delivery: Delivery) -> Any:
        body = _body(delivery) if _shows_payloads(self) else None
        attempts = delivery.attempts.order_by("pk")
        return AttemptSerializer(attempts, many=True, context={"body": body}).data


def _body(delivery: Delivery) -> str:
    try:
        return request_body(delivery.webhook, delivery.event).decode("utf-8", errors="replace")
    except InvalidRequest:
        return ""
