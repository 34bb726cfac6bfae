"""What can go wrong, by name."""

from __future__ import annotations

import requests


class WebhooksError(Exception):
    """Base of every error that this app raises of its own."""


class UnknownEventType(WebhooksError, LookupError):
    """The event type is in no `webhook_events.py` of an installed app."""


class InvalidPayload(WebhooksError, ValueError):
    """The data, or the idempotency key, cannot be written down as it would be sent."""


class IdempotencyConflict(WebhooksError, ValueError):
    """The idempotency key was already used in this workspace for another event."""


class UndecryptableSecret(WebhooksError, ValueError):
    """An encrypted value fits none of the configured keys. It is never used as it is."""


class ConcurrentChange(WebhooksError):
    """The webhook was changed or deleted since it was read; nothing was written."""


class InvalidRequest(WebhooksError, ValueError):
    """A delivery cannot be built into a request; no later try would do better.

    `kind` is the word recorded on the attempt: one of error_kinds.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class SendError(WebhooksError, requests.ConnectionError):
    """No usable response came back. `kind` is the word recorded on the attempt:

    dns, refused_address, connect, tls, timeout, reset, bad_response, egress_proxy.
    The message is ours: it names neither an internal address nor a secret.
    """

    def __init__(self, kind: str, message: str, *, request: requests.PreparedRequest | None = None) -> None:
        super().__init__(message, request=request)
        self.kind = kind


class SendTimeout(SendError, requests.Timeout):
    """The total or connect timeout ran out."""
