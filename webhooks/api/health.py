"""How a webhook stands and what went wrong, as JSON."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from .. import actions
from ..error_kinds import explain
from ..models import Attempt, Webhook, WebhookState
from ..standing import last_error, standing, state_of
from . import VIA


class HealthSerializer(serializers.ModelSerializer[WebhookState]):
    """`context["webhook"]` is the webhook whose state it is."""

    status = serializers.SerializerMethodField()
    last_error = serializers.SerializerMethodField()

    class Meta:
        model = WebhookState
        fields = [
            "status",
            "consecutive_failures",
            "failing_since",
            "paused_until",
            "disabled_at",
            "disabled_because",
            "last_error",
        ]

    def get_status(self, state: WebhookState) -> str:
        return standing(self.context["webhook"], state, timezone.now()).kind.value

    def get_last_error(self, state: WebhookState) -> dict[str, str] | None:
        error = last_error(state)
        if error is None:
            return None
        return {"kind": error.name, "explanation": error.explanation, "advice": error.advice}


class WebhookHealth(serializers.Serializer[Webhook]):
    """Adds "health" to a webhook. In a list its state must have been loaded with it."""

    health = serializers.SerializerMethodField()

    def get_health(self, webhook: Webhook) -> Any:
        state = state_of(webhook) or WebhookState()
        return HealthSerializer(state, context={"webhook": webhook}).data


class ExplainedAttempt(serializers.Serializer[Attempt]):
    """Adds what an attempt's error means and what to do about it; both are empty for none."""

    explanation = serializers.SerializerMethodField()
    advice = serializers.SerializerMethodField()

    def get_explanation(self, attempt: Attempt) -> str:
        kind = explain(attempt.error_kind, attempt.status_code)
        return "" if kind is None else kind.explanation

    def get_advice(self, attempt: Attempt) -> str:
        kind = explain(attempt.error_kind, attempt.status_code)
        return "" if kind is None else kind.advice


class Resumable(GenericViewSet[Webhook]):
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, **_: Any) -> Response:
        """End the webhook's pause. One that is not paused is answered as it is."""
        webhook = self.get_object()
        actions.resume(webhook, by=request.user, via=VIA)
        return Response(self.get_serializer(webhook).data)
