"""deliveries/?status=&webhook=&event_type="""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters

from ..models import Delivery, Webhook


def _webhooks(request: Any) -> QuerySet[Webhook]:
    """Another workspace's webhook is refused like one that does not exist."""
    if request is None:
        return Webhook.objects.none()
    return Webhook.with_deleted.filter(workspace=request.parser_context["view"].workspace)


class DeliveryFilter(filters.FilterSet):
    webhook = filters.ModelChoiceFilter(queryset=_webhooks)

    class Meta:
        model = Delivery
        fields = ["status", "webhook", "event_type"]
