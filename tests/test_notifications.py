"""What owners are mailed, and that each notice is mailed though tasks race, die or find no mail server."""

import logging
import subprocess
import sys
import threading
from datetime import datetime, timedelta, timezone

import pytest
from django.apps import apps
from django.core import mail
from django.db import connections
from django.urls import reverse

from tests.factories import SECRET, make_user, make_webhook, make_workspace
from tests.mail import Slow
from tests.processes import ROOT, environment
from webhooks import actions, queue, tasks
from webhooks.engine import drain
from webhooks.events import emit
from webhooks.health import Notice
from webhooks.models import Webhook, WebhookState
from webhooks.notifications import LEASE, send_due

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 1, 31, 9, 0, tzinfo=timezone.utc)


@pytest.fixture
def owner(workspace):
    return make_owner("olga", workspace)


def make_owner(name, workspace):
    return make_user(name, role="owner", workspace=workspace, superuser=not apps.is_installed("workspace"))


def make_notice(workspace, notice, *, webhook=None, **fields):
    webhook = webhook or make_webhook(workspace, is_active=notice != "disabled")
    fields = {
        "consecutive_failures": 6,
        "failing_since": NOW - timedelta(hours=2),
        "error_kind": "http_5xx",
        "status_code": 503,
        "told": 1,
        "notice_due_at": NOW,
        **fields,
    }
    return WebhookState.objects.create(webhook=webhook, notice=notice, **fields)


def sent_one():
    [message] = mail.outbox
    return message


def test_the_owners_read_what_is_wrong_and_what_happens_next(workspace, owner, settings):
    settings.WEBHOOKS = {
        **settings.WEBHOOKS,
        "BASE_URL": "https://app.example.com/",
        "WEBHOOK_PAGE": None,
    }
    webhook = make_webhook(
        workspace, secret=SECRET, callback_url="https://user@crm.example.com:8443/token/?key=hidden"
    )
    state = make_notice(workspace, "failing", webhook=webhook, paused_until=NOW + timedelta(minutes=1))
    assert send_due(NOW) == 1
    message = sent_one()
    assert message.to == [owner.email]
    assert message.subject == "[Acme] Webhook “CRM” is failing"
    link = "https://app.example.com" + reverse("admin:webhooks_webhook_change", args=[webhook.pk])
    for part in (
        "Workspace: Acme\nWebhook:   CRM\nReceiver:  https://crm.example.com:8443\n",
        "Failing since 2026-01-31 07:00 UTC: 6 attempts in a row have failed.",
        "The receiver failed while it handled the request. It answered 503.",
        "Check whether the receiver is overloaded or in maintenance.",
        "Nothing is sent until 2026-01-31 09:01 UTC;",
        "the webhook is disabled at 2026-02-05 07:00 UTC.",
        link,
    ):
        assert part in message.body, part
    assert not any(part in message.body for part in (SECRET, "hidden", "token", "user@"))
    state.refresh_from_db()
    assert (state.notice, state.notice_due_at, state.told) == ("", None, 1)


def page_of(webhook):
    return f"/of/{webhook.workspace.slug}/{webhook.pk}"


def test_the_link_leads_where_the_project_says(workspace, owner, settings):
    own = {"BASE_URL": "https://app.example.com", "WEBHOOK_PAGE": f"{__name__}.page_of"}
    settings.WEBHOOKS = {**settings.WEBHOOKS, **own}
    state = make_notice(workspace, "failing")
    assert send_due(NOW) == 1
    assert f"https://app.example.com/of/acme/{state.webhook_id}\n" in sent_one().body


@pytest.mark.parametrize("notice", [notice.value for notice in Notice])
def test_each_notice_has_its_mail_in_words_alone(workspace, owner, notice):
    fields = {"failing_since": None, "told": 0} if notice == "recovered" else {}
    make_notice(workspace, notice, **fields, disabled_at=NOW, disabled_because="It failed for 5 days.")
    assert send_due(NOW) == 1
    message = sent_one()
    assert "“CRM”" in message.subject
    assert message.message()["Auto-Submitted"] == "auto-generated"
    assert "http://" not in message.body.replace("http://127.0.0.1:9", "")
    assert not any(part in message.body for part in ("{{", "{%", "None", "&", "\n\n\n"))
    assert ("It failed for 5 days." in message.body) == (notice == "disabled")
    assert ("check “Status”" in message.body) == (notice == "disabled")
    assert ("Check whether the receiver" in message.body) == (notice != "recovered")


def test_all_owners_get_one_message_and_nobody_else(workspace, owner):
    second = make_owner("otto", workspace)
    make_user("vera", role="viewer", workspace=workspace)
    make_owner("nick", workspace).__class__.objects.filter(username="nick").update(email="")
    make_notice(workspace, "half")
    assert tasks.notify() == 1
    assert sorted(sent_one().to) == [owner.email, second.email]


def test_a_line_break_in_a_name_begins_neither_a_header_nor_a_paragraph(workspace, owner):
    name = "CRM & Co\r\nBcc: x@example.com\u2028\x1b[31m"
    make_notice(workspace, "nearly", webhook=make_webhook(workspace, name=name))
    assert send_due(NOW) == 1
    message = sent_one()
    assert "“CRM & Co Bcc: x@example.com [31m”" in message.subject
    assert message.message()["Bcc"] is None
    assert "Webhook:   CRM & Co Bcc: x@example.com [31m\n" in message.body


def test_nothing_is_sent_before_it_is_due_nor_twice(workspace, owner):
    make_notice(workspace, "failing")
    assert send_due(NOW - timedelta(seconds=1)) == 0
    assert [send_due(NOW), send_due(NOW), send_due(NOW + 2 * LEASE)] == [1, 0, 0]


def test_a_deleted_webhooks_notice_is_dropped(workspace, owner):
    for notice in ("disabled", "recovered"):
        webhook = make_webhook(workspace, name=notice, is_active=False)
        make_notice(workspace, notice, webhook=webhook)
        actions.delete(webhook, by=None)
    assert send_due(NOW) == 0
    assert (mail.outbox, WebhookState.objects.exclude(notice="").count()) == ([], 0)


@pytest.mark.parametrize("notice", ["failing", "half", "nearly", "disabled"])
def test_a_notice_that_an_activation_overtook_is_dropped(workspace, owner, notice):
    state = make_notice(workspace, notice)
    actions.activate(state.webhook, by=None)
    assert send_due(NOW) == 0
    assert not WebhookState.objects.get().notice


@pytest.mark.parametrize("notice", ["failing", "half", "nearly"])
def test_who_has_switched_the_webhook_off_is_not_warned(workspace, owner, notice):
    state = make_notice(workspace, notice)
    actions.deactivate(state.webhook, by=None)
    assert send_due(NOW) == 0
    assert not WebhookState.objects.get().notice


def test_without_anybody_to_tell_the_notice_is_cleared_and_logged(workspace, caplog):
    make_notice(workspace, "failing")
    assert send_due(NOW) == 0
    assert not WebhookState.objects.get().notice
    assert "nobody to mail" in caplog.text


def test_a_mail_server_that_fails_is_tried_again_and_stops_no_other_notice(
    workspace, settings, caplog, monkeypatch
):
    settings.EMAIL_BACKEND = "tests.mail.Down"
    other = make_workspace("other")
    recipients = {workspace.pk: ["down@example.com"], other.pk: ["up@example.com"]}
    monkeypatch.setattr("webhooks.access.recipients", lambda one: recipients[one.pk])
    state = make_notice(workspace, "failing", notice_due_at=NOW - LEASE)
    make_notice(other, "failing")
    assert send_due(NOW) == 1
    assert sent_one().to == ["up@example.com"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert SECRET not in caplog.text
    recipients[workspace.pk] = ["back@example.com"]
    assert send_due(NOW + LEASE - timedelta(seconds=1)) == 0
    assert send_due(NOW + LEASE) == 1
    state.refresh_from_db()
    assert state.notice == ""


@pytest.fixture
def slow(settings):
    settings.EMAIL_BACKEND = "tests.mail.Slow"
    Slow.begun.clear()
    Slow.go_on.clear()
    yield Slow
    Slow.go_on.set()


def in_thread(results):
    def work():
        try:
            results.append(send_due())
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.django_db(transaction=True)
def test_while_one_task_mails_no_other_does_and_no_transaction_is_open(workspace, owner, slow):
    make_notice(workspace, "failing")
    results = []
    thread = in_thread(results)
    assert slow.begun.wait(30)
    assert send_due() == 0
    slow.go_on.set()
    thread.join(30)
    assert (results, len(mail.outbox), slow.in_transaction) == ([1], 1, False)


@pytest.mark.django_db(transaction=True)
def test_a_newer_notice_stays_when_the_older_one_has_been_mailed(workspace, owner, slow):
    state = make_notice(workspace, "nearly")
    results = []
    thread = in_thread(results)
    assert slow.begun.wait(30)
    WebhookState.objects.update(notice="recovered", notice_due_at=NOW, failing_since=None)
    slow.go_on.set()
    thread.join(30)
    state.refresh_from_db()
    assert (results[0], state.notice) in [(2, ""), (1, "recovered")]
    assert results[0] + send_due() == 2
    assert [message.subject.partition("” ")[2] for message in mail.outbox] == [
        "will soon be disabled",
        "delivers again",
    ]


@pytest.mark.django_db(transaction=True)
def test_racing_tasks_mail_each_notice_once(workspace, owner):
    for number in range(20):
        make_notice(workspace, "failing", webhook=make_webhook(workspace, name=f"w{number}"))
    results = []
    for thread in [in_thread(results) for _ in range(4)]:
        thread.join(60)
    assert sum(results) == 20
    assert len({message.subject for message in mail.outbox}) == len(mail.outbox) == 20


@pytest.mark.django_db(transaction=True)
def test_killed_between_mail_and_record_it_is_mailed_again_after_the_lease(
    workspace, owner, database_url, tmp_path
):
    make_notice(workspace, "failing")
    script = (
        "import sys, django; django.setup(); from django.conf import settings\n"
        "settings.EMAIL_BACKEND, settings.EMAIL_FILE_PATH = 'tests.mail.Fatal', sys.argv[1]\n"
        "from webhooks import tasks; tasks.notify()"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script, tmp_path],
        cwd=ROOT,
        env=environment(database_url),
        timeout=60,
        check=False,
    )
    assert killed.returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    assert send_due() == 0
    held = WebhookState.objects.get()
    assert held.notice == "failing"
    assert send_due(held.notice_due_at) == 1
    assert len(mail.outbox) == 1


@pytest.mark.django_db(transaction=True)
def test_an_episode_is_told_from_its_pause_to_its_recovery_and_each_part_once(workspace, owner, receiver):
    receiver.answer = lambda request: (503, {}, b"")
    make_webhook(workspace, callback_url=receiver.url, patterns=("order.*",))
    emit("order.created", workspace=workspace, data={})
    start = queue.database_now()
    for moment in (start + timedelta(seconds=seconds) for seconds in range(0, 80, 10)):
        drain(linger=0, clock=lambda now=moment: now)
        send_due(moment)
    assert [message.subject for message in mail.outbox] == ["[Acme] Webhook “CRM” is failing"]
    assert "The receiver failed while it handled the request. It answered 503." in mail.outbox[0].body
    receiver.answer = lambda request: (200, {}, b"")
    actions.resume(Webhook.objects.get(), by=None)
    queue.unpark(now=start + timedelta(minutes=3))
    drain(linger=0, clock=lambda: start + timedelta(minutes=3))
    send_due(start + timedelta(minutes=4))
    assert [message.subject for message in mail.outbox][1:] == ["[Acme] Webhook “CRM” delivers again"]
    assert send_due(start + timedelta(days=1)) == 0


def test_no_row_of_a_healthy_webhook_is_touched(workspace, owner, django_assert_num_queries):
    make_webhook(workspace)
    with django_assert_num_queries(1):
        assert send_due(NOW) == 0
    assert Webhook.objects.count() == 1
