"""One try and its result → the Attempt that is kept. Pure, but for the model's class."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

import requests
from django.views.decorators.debug import sensitive_variables

from .exceptions import InvalidRequest, SendError
from .headers import MASK
from .models import Attempt, Delivery, Webhook
from .models.instances import instance_of
from .prepared import Prepared
from .retry import Outcome

# A GET's URL carries the whole payload; the event has it already.
MAX_URL_KEPT = 4000
SHORTEST_ECHO = 8
# What `Model.__init__` would set. Its dicts are shared by all attempts, so both headers are always replaced.
DEFAULTS = {field.attname: field.get_default() for field in Attempt._meta.concrete_fields}


# Django hides the variables of all that is called from here, too.
@sensitive_variables()
def attempt_of(
    delivery: Delivery,
    request: requests.PreparedRequest | None,
    result: requests.Response | Exception,
    outcome: Outcome,
    *,
    started_at: datetime,
    duration: float,
) -> Attempt:
    """Return the unsaved Attempt for `result`. `duration` is in seconds; no request: none could be built."""
    values = {
        **DEFAULTS,
        "delivery_id": delivery.id,
        "number": delivery.attempt_count + 1,
        "started_at": started_at,
        "duration_ms": round(duration * 1000),
        "outcome": outcome.value,
        **_request(delivery.webhook, request),
        **(_error(result) if isinstance(result, Exception) else _response(result, _secret_values(request))),
    }
    return instance_of(Attempt, values, stored_in=None)


def _request(webhook: Webhook, request: requests.PreparedRequest | None) -> dict[str, Any]:
    if request is None:
        return {
            "request_method": webhook.method,
            "request_url": webhook.callback_url[:MAX_URL_KEPT],
            "request_headers": {},
        }
    body = request.body or b""
    return {
        "request_method": request.method or "",
        "request_url": (request.url or "")[:MAX_URL_KEPT],
        "request_headers": _masked(request),
        "request_body_sha256": hashlib.sha256(body if isinstance(body, bytes) else body.encode()).hexdigest(),
    }


# Signatures are kept: they are no secrets, and what a receiver's developer compares with.
def _masked(request: requests.PreparedRequest) -> dict[str, str]:
    secret = _secret_names(request)
    if not secret:
        return dict(request.headers.items())
    return {name: MASK if name.lower() in secret else value for name, value in request.headers.items()}


def _secret_names(request: requests.PreparedRequest | None) -> frozenset[str]:
    return request.masked_headers if isinstance(request, Prepared) else frozenset()


def _secret_values(request: requests.PreparedRequest | None) -> list[str]:
    """Return what a receiver may echo and must not be recorded: each value, and what follows "Bearer "."""
    names = _secret_names(request)
    if request is None or not names:
        return []
    values: list[str] = [request.headers[name] for name in names]
    values += [value.partition(" ")[2] for value in values]
    # Shorter ones stand in too many texts by chance.
    return sorted((value for value in values if len(value) >= SHORTEST_ECHO), key=len, reverse=True)


def _error(error: Exception) -> dict[str, Any]:
    if isinstance(error, (SendError, InvalidRequest)):
        kind, sentence = error.kind, str(error)
    else:
        kind, sentence = "bad_response", "The answer could not be understood."
    return {"error_kind": kind, "error": sentence, "response_headers": {}}


def _response(response: requests.Response, secrets: list[str]) -> dict[str, Any]:
    values = {
        "status_code": response.status_code,
        "response_headers": _headers(dict(response.headers.items()), secrets),
        "response_body": _text(response.content.decode("utf-8", errors="backslashreplace"), secrets),
        "response_truncated": getattr(response, "truncated", False),
    }
    if not 200 <= response.status_code <= 299:
        answer = f"{response.status_code} {response.reason}".strip()
        values["error_kind"] = f"http_{response.status_code // 100}xx"
        values["error"] = _text(f"The receiver answered {answer}.", secrets)
    return values


def _headers(headers: dict[str, str], secrets: list[str]) -> dict[str, str]:
    if not secrets and "\x00" not in "".join((*headers, *headers.values())):
        return headers
    return {_text(name, secrets): _text(value, secrets) for name, value in headers.items()}


def _text(text: str, secrets: list[str]) -> str:
    """Return what may be stored of it: no echo of a secret, and, for PostgreSQL, no NUL.

    What is no text is written as \\xff, so that no byte is lost.
    """
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text.replace("\x00", "\\x00")
