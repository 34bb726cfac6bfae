"""What django-q2 runs. No arguments: a task's are pickled, stored and shown."""

from __future__ import annotations

from . import engine, notifications, queue, retention


def drain() -> int:
    """Send what is due. Returns the number of attempts recorded."""
    return engine.drain()


def sweep() -> int:
    """Each minute: resume what waited for its webhook, warn its owners, and send what the wake-ups missed."""
    queue.unpark()
    queue.remind()
    return engine.drain()


def prune() -> int:
    """Each day: remove what is older than RETENTION_DAYS. Returns the number of deliveries removed."""
    return retention.prune()


def notify() -> int:
    """Mail to the owners what they should hear of their webhooks. Returns the number of mails sent."""
    return notifications.send_due()
