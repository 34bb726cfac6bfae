"""An attempt as its request and response are shown."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from requests.structures import CaseInsensitiveDict

from ..encoding import BUILT_IN
from ..error_kinds import ErrorKind, explain
from ..exceptions import InvalidRequest
from ..models import Attempt, Delivery, Event, Webhook
from ..request import request_body

ATTEMPTS_SHOWN = 50
BODY_SHOWN = 65536  # characters; a page must not carry a body of megabytes


@dataclass(frozen=True, kw_only=True)
class Exchange:
    attempt: Attempt
    withheld: bool
    """Whether bodies and the receiver's headers are not shown: the person may not see payloads."""
    request_url: str
    request_body: str | None
    """None: what was sent can no longer be rebuilt."""
    request_body_cut: bool
    explained: ErrorKind | None
    """What its error means and what to do about it."""
    location: str
    """Where a redirect would have led; redirects are not followed."""


def exchanges(delivery: Delivery, *, payloads: bool) -> list[Exchange]:
    """Return the latest attempts, newest first; `payloads`: with their bodies and the receiver's headers."""
    latest = delivery.attempts.order_by("-number", "-pk")[:ATTEMPTS_SHOWN]
    if not payloads:
        return [_withheld(attempt) for attempt in latest]
    bodies = _bodies(delivery.webhook, delivery.event)
    return [_exchange(attempt, bodies) for attempt in latest]


def _withheld(attempt: Attempt) -> Exchange:
    return Exchange(
        attempt=attempt,
        withheld=True,
        request_url=attempt.url_without_payload,
        request_body=None,
        request_body_cut=False,
        explained=explain(attempt.error_kind, attempt.status_code),
        location="",
    )


def _exchange(attempt: Attempt, bodies: dict[str, str]) -> Exchange:
    body = bodies.get(attempt.request_body_sha256)
    return Exchange(
        attempt=attempt,
        withheld=False,
        request_url=attempt.request_url,
        request_body=None if body is None else body[:BODY_SHOWN],
        request_body_cut=body is not None and len(body) > BODY_SHOWN,
        explained=explain(attempt.error_kind, attempt.status_code),
        location=_location(attempt) if 300 <= (attempt.status_code or 0) <= 399 else "",
    )


def _location(attempt: Attempt) -> str:
    headers = CaseInsensitiveDict(attempt.response_headers)
    return str(headers.get("Location", ""))


def _bodies(webhook: Webhook, event: Event) -> dict[str, str]:
    """Return what may have been sent, by hash: the webhook may have had another content type at that time."""
    bodies = {hashlib.sha256(b"").hexdigest(): ""}
    for content_type in {*BUILT_IN, webhook.content_type}:
        variant = Webhook(method=Webhook.Method.POST, content_type=content_type)
        try:
            body = request_body(variant, event)
        except InvalidRequest:
            continue
        bodies[hashlib.sha256(body).hexdigest()] = body.decode("utf-8", errors="replace")
    return bodies
