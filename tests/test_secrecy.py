"""A secret is plain where it is used, and in nothing that is kept, shown, logged or reported."""

import io
import logging
import sys

import pytest
from django.core import mail
from django.core.management import call_command
from django.db import connection
from django.views.debug import ExceptionReporter
from django_q.models import OrmQ
from rest_framework.test import APIClient

from tests.factories import make_user, make_webhook, make_workspace
from tests.sockets import bounds, request
from webhooks import actions, signing, tasks
from webhooks.engine import drain
from webhooks.events import emit
from webhooks.models import Webhook
from webhooks.request import build_request
from webhooks.transport.outgoing import outgoing_of
from webhooks.transport.transfer import Transfer

# In parts, because an error report shows the source around the error too.
TYPED, KEY, TOKEN, LATER = (
    "-".join((word, "battery", "staple")) for word in ("typed", "key", "token", "later")
)
PLAIN = (TYPED, KEY, TOKEN, LATER)
HEADERS = {"X-Api-Key": KEY}


@pytest.fixture
def workspace():
    return make_workspace()


def everything_stored():
    """Return every row of every table, as the database holds it."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            found += map(str, cursor.fetchall())
    return "\n".join(found)


def dumped():
    dump = io.StringIO()
    call_command("dumpdata", stdout=dump)
    return dump.getvalue()


def a_webhooks_life(client, receiver):
    """Do with a webhook what its people and its workers do; return its generated secrets, and all other answers."""
    answers = iter([500, 200])
    receiver.answer = lambda request: (next(answers, 200), {"X-Echo": KEY}, str(request.headers).encode())
    base = "/api/v1/workspaces/acme/webhooks/"
    body = {
        "name": "CRM",
        "callback_url": receiver.url,
        "events": ["*"],
        "secret": TYPED,
        "headers": HEADERS,
        "authorization": f"Bearer {TOKEN}",
    }
    said = [client.post(base, body, format="json")]
    webhook = Webhook.objects.get()
    emit("order.created", workspace=webhook.workspace, data={})
    drain(budget=20)
    one = f"{base}{webhook.pk}/"
    generated = [
        client.patch(one, {"generate_secret": True}, format="json").json()["secret"],
        client.post(f"{one}rotate-secret/").json()["secret"],
    ]
    said.append(client.post(f"{one}rotate-secret/", {"secret": LATER}, format="json"))
    actions.send_test(webhook, "order.paid", by=None)
    tasks.sweep()
    tasks.notify()
    said += [client.get(base), client.get(one), client.get("/api/v1/workspaces/acme/deliveries/")]
    assert {answer.status_code for answer in said} <= {200, 201}
    return generated, "".join(answer.content.decode() for answer in said)


@pytest.mark.django_db(transaction=True)
def test_no_secret_is_in_the_database_a_dump_a_task_a_log_a_mail_or_an_answer(workspace, receiver, caplog):
    caplog.set_level(logging.DEBUG)
    client = APIClient()
    client.force_authenticate(make_user(superuser=True))
    generated, answers = a_webhooks_life(client, receiver)
    queued = [task.task for task in OrmQ.objects.all()]
    assert queued
    assert all(task["args"] == () for task in queued)
    told = [everything_stored(), dumped(), caplog.text, answers, str(queued)]
    told += [f"{message.subject} {message.body}" for message in mail.outbox]
    told += [repr(Webhook.objects.get()), repr(vars(Webhook.objects.get()))]
    for secret in (*PLAIN, *generated):
        assert not [text for text in told if secret in text]
    # They were there to be found.
    assert Webhook.objects.get().secret == LATER
    assert receiver.requests[0].headers["X-Api-Key"] == KEY
    assert "X-Api-Key: ••••" in told[0].replace("\\u2022", "•")


class Broken(Exception):
    pass


def breaks(*arguments, **options):
    raise Broken


def creating(webhook, event):
    new = Webhook(workspace=webhook.workspace, name="New", callback_url="https://example.com/", secret=TYPED)
    new.headers, new.authorization = HEADERS, f"Bearer {TOKEN}"
    actions.create(new, ["*"], by=None)


def changing(webhook, event):
    actions.change(webhook, {"headers": HEADERS, "authorization": f"Bearer {LATER}"}, by=None)


def rotating(webhook, event):
    actions.rotate_secret(webhook, by=None, secret=LATER)


def building(webhook, event):
    build_request(webhook, event, 1, event.occurred_at, delivery_id=1)


def signing_directly(webhook, event):
    signing.x_signature(TYPED, b"")


def signing_by_the_standard(webhook, event):
    signing.standard_signature(TYPED, "id", 1, b"")


def verifying(webhook, event):
    signing.verify_x_signature(TYPED, b"", "")


def draining(webhook, event):
    drain(linger=0)


def sending(webhook, event):
    transfer = Transfer(bounds())
    transfer.curl = Unwilling()
    message = request("http://127.0.0.1:9/", Authorization=f"Bearer {TOKEN}", **HEADERS)
    transfer._set_request(outgoing_of(1, message, bounds()).request)


class Unwilling:
    """A handle that takes no headers."""

    def setopt(self, option, value):
        if isinstance(value, list):
            raise Broken


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("doing", "where"),
    [
        (creating, "webhooks.fields.encrypted"),
        (changing, "webhooks.fields.encrypted"),
        (changing, "webhooks.headers._VALUE.fullmatch"),
        (changing, "webhooks.headers.json.dumps"),
        (rotating, "webhooks.fields.encrypted"),
        (rotating, "webhooks.models.credentials.signing.standard_key"),
        (building, "webhooks.signing.hmac.digest"),
        (building, "webhooks.signing.base64.b64encode"),
        (building, "webhooks.request.rules.error"),
        (building, "webhooks.headers.authorization_error"),
        (signing_directly, "webhooks.signing.hmac.digest"),
        (signing_by_the_standard, "webhooks.signing.hmac.digest"),
        (verifying, "webhooks.signing.hmac.compare_digest"),
        (draining, "webhooks.signing.hmac.digest"),
        (draining, "webhooks.attempts._text"),
        (sending, None),
    ],
    ids=lambda value: value.__name__ if callable(value) else value,
)
def test_no_error_report_shows_a_secret(workspace, receiver, monkeypatch, doing, where):
    webhook = make_webhook(
        workspace, callback_url=receiver.url, secret=TYPED, headers=HEADERS, authorization=f"Bearer {TOKEN}"
    )
    event = emit("order.created", workspace=workspace, data={})
    if where is not None:
        monkeypatch.setattr(*replaced(where))
    report = report_of(doing, webhook, event)
    assert "Broken" in report
    assert not [secret for secret in PLAIN if secret in report]


def replaced(where):
    if where == "webhooks.headers._VALUE.fullmatch":
        return "webhooks.headers._VALUE", type("Pattern", (), {"fullmatch": staticmethod(breaks)})
    return where, breaks


def report_of(doing, webhook, event):
    try:
        doing(webhook, event)
    except Broken:
        reporter = ExceptionReporter(None, *sys.exc_info())
        return reporter.get_traceback_html() + reporter.get_traceback_text()
    raise AssertionError("nothing broke")
