"""The JSON of the API. The rules are the models' own: `full_clean()` is asked, and answers by field."""

from __future__ import annotations

import json
from typing import Any

from django.core.exceptions import ValidationError as ModelError
from django.db import IntegrityError, transaction
from django.views.decorators.debug import sensitive_variables
from rest_framework import serializers

from .. import actions, catalogue, signing
from ..exceptions import InvalidRequest, UnknownEventType
from ..models import Attempt, Delivery, Event, Webhook
from ..models.database import alias
from ..request import request_body
from .health import ExplainedAttempt, WebhookHealth

_RULED_FIELDS = ("name", "callback_url", "method", "content_type", "max_attempts", "is_active")


class WebhookSerializer(WebhookHealth, serializers.ModelSerializer[Webhook]):
    """Create and change need `context["workspace"]`."""

    events = serializers.ListField(
        child=serializers.CharField(max_length=catalogue.MAX_NAME_LENGTH),
        source="patterns",
        allow_empty=False,
    )
    secret = serializers.CharField(
        write_only=True, required=False, allow_blank=True, trim_whitespace=False, max_length=200_000
    )
    generate_secret = serializers.BooleanField(write_only=True, required=False)
    # Shown in the one response of the request that asked for it.
    _generated: str = ""

    class Meta:
        model = Webhook
        fields = [
            "id",
            *_RULED_FIELDS,
            "has_secret",
            "secret",
            "generate_secret",
            "events",
            "health",
            "created_at",
            "updated_at",
        ]
        read_only_fields = ["created_at", "updated_at"]

    def validate_events(self, patterns: list[str]) -> list[str]:
        # What is already subscribed to is kept, even when its app is gone.
        present = set(self.instance.patterns) if self.instance else set()
        for pattern in set(patterns) - present:
            try:
                catalogue.check_pattern(pattern)
            except UnknownEventType as error:
                raise serializers.ValidationError(str(error)) from None
        return patterns

    @sensitive_variables()
    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.pop("generate_secret", False):
            if "secret" in attrs:
                raise serializers.ValidationError({"secret": "Give a secret or ask for one, not both."})
            attrs["secret"] = self._generated = signing.generate_secret()
        draft = Webhook(workspace=self.context["workspace"])
        if self.instance:
            draft.pk = self.instance.pk
            draft._state.adding = False
            for name in _RULED_FIELDS:
                setattr(draft, name, getattr(self.instance, name))
        for name, value in attrs.items():
            if name != "patterns":
                setattr(draft, name, value)
        try:
            draft.full_clean(validate_unique=False)
        except ModelError as error:
            raise serializers.ValidationError(error.message_dict) from None
        return attrs

    @sensitive_variables()
    def create(self, validated_data: dict[str, Any]) -> Webhook:
        patterns = validated_data.pop("patterns")
        webhook = Webhook(workspace=self.context["workspace"], **validated_data)
        self._save(webhook, patterns)
        return webhook

    @sensitive_variables()
    def update(self, instance: Webhook, validated_data: dict[str, Any]) -> Webhook:
        by = self.context["request"].user
        patterns = validated_data.pop("patterns", None)
        secret = validated_data.pop("secret", None)
        is_active = validated_data.pop("is_active", instance.is_active)
        for name, value in validated_data.items():
            setattr(instance, name, value)
        with transaction.atomic(using=alias()):
            # Only what was asked for: the sender may have disabled the webhook since it was read.
            self._save(instance, patterns, update_fields=[*validated_data])
            if secret:
                actions.rotate_secret(instance, by=by, secret=secret)
            elif secret == "":
                actions.remove_secret(instance, by=by)
            if is_active != instance.is_active:
                (actions.activate if is_active else actions.deactivate)(instance, by=by)
        return instance

    def _save(self, webhook: Webhook, patterns: list[str] | None, **options: Any) -> None:
        try:
            with transaction.atomic(using=alias()):
                webhook.save(**options)
                if patterns is not None:
                    webhook.set_patterns(patterns)
        except IntegrityError:
            # Somebody else took the name since it was looked up.
            raise serializers.ValidationError(
                {"name": "This workspace already has a webhook with this name."}
            ) from None
        # What was prefetched for the request is out of date.
        setattr(webhook, "_prefetched_objects_cache", {})  # noqa: B010

    def to_representation(self, instance: Webhook) -> dict[str, Any]:
        shown = super().to_representation(instance)
        if self._generated:
            shown["secret"] = self._generated
        return shown


class EventSummarySerializer(serializers.ModelSerializer[Event]):
    class Meta:
        model = Event
        fields = ["id", "type", "occurred_at"]


class EventSerializer(serializers.ModelSerializer[Event]):
    data = serializers.SerializerMethodField()  # type: ignore[assignment]  # a field, taken by the metaclass

    class Meta:
        model = Event
        fields = ["id", "type", "subject", "data", "idempotency_key", "is_test", "occurred_at"]

    def get_data(self, event: Event) -> Any:
        return json.loads(event.data)


class AttemptSerializer(ExplainedAttempt, serializers.ModelSerializer[Attempt]):
    """`context["body"]` is the request's body, rebuilt from the event."""

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
        return {
            "method": attempt.request_method,
            "url": attempt.request_url,
            "headers": attempt.request_headers,
            "body": self.context["body"],
        }

    def get_response(self, attempt: Attempt) -> dict[str, Any]:
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
        try:
            body = request_body(delivery.webhook, delivery.event).decode("utf-8", errors="replace")
        except InvalidRequest:
            body = ""
        attempts = delivery.attempts.order_by("pk")
        return AttemptSerializer(attempts, many=True, context={"body": body}).data


class EventTypeSerializer(serializers.Serializer[catalogue.EventType]):
    name = serializers.CharField()
    description = serializers.CharField()
    example = serializers.JSONField()
    schema = serializers.JSONField()
