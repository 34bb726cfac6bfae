from .delivery import Attempt, Delivery
from .event import Event
from .waker import Waker
from .webhook import Subscription, Webhook, WebhookState

__all__ = ["Attempt", "Delivery", "Event", "Subscription", "Waker", "Webhook", "WebhookState"]
