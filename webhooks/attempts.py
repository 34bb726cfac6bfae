"""One try and its result → the Attempt that is kept. Pure, but for the model's class."""

from __future__ import annotations

import hashlib
from datetime import datetime

import requests
from django.views.decorators.debug import sensitive_variables

from .exceptions import InvalidRequest, SendError
from .headers import MASK
from .models import Attempt, Delivery
from .prepared import Prepared
from .retry import Outcome

# A GET's URL carries the whole payload; the event has it already.
MAX_URL_KEPT = 4000
SHORTEST_ECHO = 8
# Signatures are kept: they are no secrets, and what a receiver's developer compares with.


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
    attempt = Attempt(
        delivery_id=delivery.pk,
        number=delivery.attempt_count + 1,
        started_at=started_at,
        duration_ms=round(duration * 1000),
        outcome=outcome.value,
        request_method=(request.method if request else delivery.webhook.method) or "",
        request_url=((request.url if request else delivery.webhook.callback_url) or "")[:MAX_URL_KEPT],
    )
    if request is not None:
        attempt.request_headers = _masked(request)
        body = request.body or b""
        attempt.request_body_sha256 = hashlib.sha256(
            body if isinstance(body, bytes) else body.encode()
        ).hexdigest()
    if isinstance(result, Exception):
        attempt.error_kind, attempt.error = _explained(result)
    else:
        _keep_response(attempt, result, _secret_values(request))
    return attempt


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


def _explained(error: Exception) -> tuple[str, str]:
    if isinstance(error, (SendError, InvalidRequest)):
        return error.kind, str(error)
    return "bad_response", "The answer could not be understood."


def _keep_response(attempt: Attempt, response: requests.Response, secrets: list[str]) -> None:
    attempt.status_code = response.status_code
    if not 200 <= response.status_code <= 299:
        attempt.error_kind = f"http_{response.status_code // 100}xx"
        answer = f"{response.status_code} {response.reason}".strip()
        attempt.error = _text(f"The receiver answered {answer}.", secrets)
    attempt.response_headers = _headers(dict(response.headers.items()), secrets)
    attempt.response_body = _text(response.content.decode("utf-8", errors="backslashreplace"), secrets)
    attempt.response_truncated = getattr(response, "truncated", False)


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
