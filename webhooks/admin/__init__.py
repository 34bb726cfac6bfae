"""The admin's pages for webhooks, deliveries and events."""

from .delivery import DeliveryAdmin
from .event import EventAdmin
from .webhook import WebhookAdmin

__all__ = ["DeliveryAdmin", "EventAdmin", "WebhookAdmin"]
