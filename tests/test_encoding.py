import json
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from urllib.parse import parse_qs

import pytest

from webhooks.encoding import Envelope, encode_cloudevents, encode_form, encode_json, freeze, timestamp
from webhooks.exceptions import InvalidPayload

ENVELOPE = Envelope(
    id="0199",
    type="activity.updated",
    timestamp=datetime(2026, 1, 31, 9, 0, 0, 123456, tzinfo=timezone.utc),
    workspace="acme",
    data='{"b":1.10,"a":"ñ"}',
)


def test_the_envelope_is_compact_in_order_and_its_data_untouched():
    assert encode_json(ENVELOPE).decode() == (
        '{"id":"0199","type":"activity.updated","timestamp":"2026-01-31T09:00:00.123456Z",'
        '"workspace":"acme","data":{"b":1.10,"a":"ñ"}}'
    )


def test_a_form_carries_the_same_json_in_payload():
    assert parse_qs(encode_form(ENVELOPE).decode("ascii"))["payload"] == [encode_json(ENVELOPE).decode()]


def test_cloudevents_has_its_required_attributes():
    event = json.loads(encode_cloudevents(ENVELOPE))
    assert event == {
        "id": "0199",
        "source": "/workspaces/acme",
        "type": "activity.updated",
        "time": "2026-01-31T09:00:00.123456Z",
        "specversion": "1.0",
        "datacontenttype": "application/json",
        "data": {"b": 1.1, "a": "ñ"},
    }


def test_a_workspace_key_that_needs_quoting_stays_valid_json():
    envelope = Envelope(id="1", type="a.b", timestamp=ENVELOPE.timestamp, workspace='a"\\\n', data="null")
    assert json.loads(encode_json(envelope))["workspace"] == 'a"\\\n'
    assert json.loads(encode_cloudevents(envelope))["source"] == '/workspaces/a"\\\n'


def test_timestamps_are_utc_with_microseconds():
    local = datetime(2026, 1, 31, 10, 0, tzinfo=timezone(timedelta(hours=1)))
    assert timestamp(local) == "2026-01-31T09:00:00.000000Z"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"z": 1, "a": [True, None]}, '{"z":1,"a":[true,null]}'),
        (Decimal("1.10"), '"1.10"'),
        (1e2, "100.0"),
        ("\x00", '"\\u0000"'),
        ("日本", '"日本"'),
        (datetime(2026, 1, 1, tzinfo=timezone.utc), '"2026-01-01T00:00:00Z"'),
    ],
)
def test_data_is_frozen_as_it_will_be_sent(data, text):
    assert freeze(data) == text


@pytest.mark.parametrize(
    "data", [float("nan"), {"a": float("inf")}, "\ud800", object(), {(1, 2): 3}, b"bytes", {1, 2}]
)
def test_what_json_cannot_say_is_refused(data):
    with pytest.raises(InvalidPayload):
        freeze(data)


def test_a_cycle_is_refused():
    data: list[object] = []
    data.append(data)
    with pytest.raises(InvalidPayload):
        freeze(data)
