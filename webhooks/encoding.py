"""An event's envelope → the bytes of a request, for each content type. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from urllib.parse import quote_plus

from django.core.serializers.json import DjangoJSONEncoder

from .exceptions import InvalidPayload

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
CLOUDEVENTS = "application/cloudevents+json"

PAYLOAD_FIELD = "payload"  # of a form body, and of a GET's query


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """What is said of an event on the wire. `data` is JSON text, frozen when the event was emitted."""

    id: str
    type: str
    timestamp: datetime
    workspace: str
    data: str


Encoder = Callable[[Envelope], bytes]


def freeze(data: object) -> str:
    """Return `data` as the exact JSON text that will be sent: compact, keys in the order given.

    Values as DjangoJSONEncoder writes them. Raises InvalidPayload for what JSON (RFC 8259) or UTF-8
    cannot say: unknown types, NaN and Infinity, lone surrogates, cycles.
    """
    try:
        text = json.dumps(
            data, cls=DjangoJSONEncoder, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        text.encode("utf-8")
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidPayload(f"The data cannot be written as JSON: {error}") from error
    return text


def timestamp(moment: datetime) -> str:
    """Return RFC 3339 in UTC with microseconds: 2026-01-31T09:00:00.123456Z."""
    utc = moment if moment.tzinfo is timezone.utc else moment.astimezone(timezone.utc)
    return utc.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def encode_json(envelope: Envelope) -> bytes:
    """Return the envelope as JSON. `data` is put in as it stands, never parsed again."""
    return (
        f'{{"id":{_quoted(envelope.id)},"type":{_known(envelope.type)},'
        f'"timestamp":"{timestamp(envelope.timestamp)}","workspace":{_known(envelope.workspace)},'
        f'"data":{envelope.data}}}'
    ).encode()


def encode_form(envelope: Envelope) -> bytes:
    """Return the JSON envelope in the form field `payload` (WHATWG URL, urlencoded serialising)."""
    return f"{PAYLOAD_FIELD}={quote_plus(encode_json(envelope))}".encode("ascii")


def encode_cloudevents(envelope: Envelope) -> bytes:
    """Return CloudEvents 1.0 in structured mode."""
    source = f"/workspaces/{envelope.workspace}"
    return (
        f'{{"id":{_quoted(envelope.id)},"source":{_quoted(source)},"type":{_quoted(envelope.type)},'
        f'"time":"{timestamp(envelope.timestamp)}","specversion":"1.0","datacontenttype":"{JSON}",'
        f'"data":{envelope.data}}}'
    ).encode()


BUILT_IN: Mapping[str, Encoder] = {JSON: encode_json, FORM: encode_form, CLOUDEVENTS: encode_cloudevents}


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


# Few types and workspaces make many events.
_known = lru_cache(maxsize=4096)(_quoted)
