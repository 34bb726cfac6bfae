"""Recovering what a webhook missed, over the API."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from .. import actions
from ..models import Webhook
from . import VIA
from .errors import answered
from .known_keys import KnownKeys


class MomentField(serializers.DateTimeField):
    """A time as it was sent: without a zone it is no moment, and the action refuses it."""

    def enforce_timezone(self, value: datetime) -> datetime:
        return value


class RecoverySerializer(KnownKeys):
    since = MomentField()


class Recoverable(GenericViewSet[Webhook]):
    @action(detail=True, methods=["post"])
    def recover(self, request: Request, **_: Any) -> Response:
        """Send the webhook what it missed since a time."""
        webhook = self.get_object()
        asked = RecoverySerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        with answered():
            count = actions.recover(webhook, by=request.user, via=VIA, **asked.validated_data)
        return Response({"recovered": count}, status=status.HTTP_202_ACCEPTED)
