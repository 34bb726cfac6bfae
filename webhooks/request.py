"""A delivery → the request that is sent for it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from urllib.parse import quote_plus

from django.utils.module_loading import import_string
from django.views.decorators.debug import sensitive_variables

from . import __version__, addresses, encoding, limits, signing
from . import headers as rules
from .conf import settings
from .exceptions import InvalidRequest
from .models import Event, Webhook
from .prepared import Headers, Prepared

USER_AGENT = f"django-workspace-webhooks/{__version__}"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What all requests to one webhook have in common, as long as its row stays as it is."""

    url: str
    """Checked, and ASCII."""
    method: str
    content_type: str
    headers: Headers = field(repr=False)
    """The webhook's own, and ours that never differ."""
    masked_headers: frozenset[str]
    connect_timeout: float | None
    timeout: float | None
    neighbours: Hashable
    secrets: tuple[str, ...] = field(repr=False)
    """Those that may sign, the newest first; the second as long as the overlap lasts."""
    overlap_until: datetime | None
    webhook: Webhook = field(repr=False)

    def secrets_at(self, now: datetime) -> tuple[str, ...]:
        overlaps = self.overlap_until is not None and now < self.overlap_until
        return self.secrets if overlaps else self.secrets[:1]


@sensitive_variables()
def recipe_of(webhook: Webhook, now: datetime) -> Recipe:
    """Return what all requests to `webhook` have in common from `now` on.

    Raises InvalidRequest and UndecryptableSecret.
    """
    url = addresses.checked_url(webhook.callback_url, addresses.configured_policy())
    method = _method(webhook)
    headers, masked = _own_headers(webhook)
    # Ours come last, and win.
    headers["User-Agent"] = USER_AGENT
    return Recipe(
        url=url,
        method=method,
        content_type=webhook.content_type,
        headers=headers,
        masked_headers=masked,
        connect_timeout=limits.within(webhook.connect_timeout, settings.CONNECT_TIMEOUT),
        timeout=limits.within(webhook.timeout, settings.TIMEOUT),
        neighbours=webhook.workspace_id,
        secrets=webhook.signing_secrets(now),
        overlap_until=webhook.previous_secret_expires_at,
        webhook=webhook,
    )


def build_request(
    webhook: Webhook, event: Event, attempt_number: int, now: datetime, *, delivery_id: int | None
) -> Prepared:
    """Return the request of one attempt. The payload's bytes are made once: they are signed, they are sent.

    `now` is the attempt's time, which the receiver may hold against its own clock. `delivery_id` is None in a
    preview. Raises InvalidRequest when no attempt could ever be sent, and UndecryptableSecret.
    """
    return build(recipe_of(webhook, now), event, attempt_number, now, delivery_id=delivery_id)


def build(
    recipe: Recipe, event: Event, attempt_number: int, now: datetime, *, delivery_id: int | None
) -> Prepared:
    """The same from a recipe: the webhook's row is looked through once for many requests."""
    payload = request_body(recipe.webhook, event)
    request = Prepared()
    request.method = recipe.method
    request.headers = recipe.headers.copy()
    request.masked_headers = recipe.masked_headers
    request.headers.add(_headers(event, attempt_number, delivery_id))
    request.headers.add(_signatures(recipe, str(event.pk), payload, now))
    if recipe.method == "GET":
        separator = "&" if "?" in recipe.url else "?"
        request.url = f"{recipe.url}{separator}{encoding.PAYLOAD_FIELD}={quote_plus(payload)}"
    else:
        request.url = recipe.url
        request.body = payload
        request.headers.add({"Content-Type": recipe.content_type, "Content-Length": str(len(payload))})
    request.neighbours = recipe.neighbours
    request.connect_timeout, request.timeout = recipe.connect_timeout, recipe.timeout
    return request


def request_body(webhook: Webhook, event: Event) -> bytes:
    """Return the payload: the body, or for GET, which has none, the value of the query parameter `payload`.

    It is made once for each event, as it was loaded, and content type.
    Raises InvalidRequest when the content type has no encoder, or the encoder fails.
    """
    # The query carries the JSON envelope whatever the content type says: a GET has none.
    content_type = encoding.JSON if webhook.method == Webhook.Method.GET else webhook.content_type
    try:
        payload = event.payloads.get(content_type) or _encoder(content_type)(event.envelope)
    except InvalidRequest:
        raise
    except Exception as error:  # a project's encoder may raise anything
        raise InvalidRequest(
            "encoding", f"The event could not be written as {content_type} ({type(error).__name__})."
        ) from error
    if not isinstance(payload, bytes):
        raise InvalidRequest("encoding", f"The encoder of {content_type} returned no bytes.")
    event.payloads[content_type] = payload
    return payload


def _method(webhook: Webhook) -> str:
    if webhook.method not in Webhook.Method.values:
        raise InvalidRequest("bad_request", f"The method {webhook.method!r} is not one that webhooks use.")
    return str(webhook.method)


@sensitive_variables()
def _own_headers(webhook: Webhook) -> tuple[Headers, frozenset[str]]:
    """Return the headers that the webhook adds, and the names of those that are secret: all of its own.

    Raises InvalidRequest: a row may have been written past the rules.
    """
    headers = webhook.headers
    message = rules.error(headers) if headers else None
    authorization = webhook.authorization
    if authorization:
        message = message or rules.authorization_error(authorization)
        headers = {**headers, "Authorization": authorization}
    if message:
        raise InvalidRequest("bad_request", message)
    # A webhook may ask for another type of answer, which is why this one is not reserved.
    return Headers({"Accept": "*/*", **headers}), frozenset(map(str.lower, headers))


def _headers(event: Event, attempt_number: int, delivery_id: int | None) -> dict[str, str]:
    headers = {
        "X-Webhook-Event": event.type,
        "X-Webhook-Attempt": str(attempt_number),
    }
    if delivery_id is not None:
        headers["X-Webhook-Delivery"] = str(delivery_id)
    return headers


@sensitive_variables()
def _signatures(recipe: Recipe, message_id: str, payload: bytes, now: datetime) -> dict[str, str]:
    """Return the Standard Webhooks headers, and with a secret both signatures; without one, none.

    While a rotation overlaps, receivers that know only the former secret must still find what they verify:
    X-Signature is made with that one, and webhook-signature carries both (Standard Webhooks: space-separated).
    """
    stamp = int(now.timestamp())
    headers = {"webhook-id": message_id, "webhook-timestamp": str(stamp)}
    secrets = recipe.secrets_at(now)
    if not secrets:
        return headers
    headers["X-Signature"] = signing.x_signature(secrets[-1], payload)
    if len(secrets) > 1:
        headers["X-Signature-Next"] = signing.x_signature(secrets[0], payload)
    try:
        signatures = [signing.standard_signature(secret, message_id, stamp, payload) for secret in secrets]
    except ValueError as error:
        raise InvalidRequest("bad_secret", str(error)) from None
    headers["webhook-signature"] = " ".join(signatures)
    return headers


def _encoder(content_type: str) -> encoding.Encoder:
    if content_type in encoding.BUILT_IN:
        return encoding.BUILT_IN[content_type]
    path = settings.ENCODERS.get(content_type)
    if path is None:
        raise InvalidRequest("encoding", f"The content type {content_type!r} has no encoder.")
    return _imported(path)


@lru_cache(maxsize=32)
def _imported(path: str) -> encoding.Encoder:
    encoder: encoding.Encoder = import_string(path)
    return encoder
