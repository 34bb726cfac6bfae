"""A new encryption key: everything under it in the end, and readable at every moment, whoever is killed."""

import re
import subprocess
import sys
import threading
import time

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from tests.factories import make_webhook, make_workspace
from tests.processes import ROOT, environment
from webhooks import actions, fields, reencryption
from webhooks.fields import EncryptedText
from webhooks.models import Webhook

pytestmark = pytest.mark.django_db

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))
SECRET = "top-secret-é"


@pytest.fixture
def keys(settings):
    """Return a function that configures the encryption keys, newest first."""

    def configure(*keys):
        settings.WEBHOOKS = {**settings.WEBHOOKS, "ENCRYPTION_KEYS": list(keys)}

    configure(OLD)
    return configure


@pytest.fixture
def webhook(keys):
    webhook = make_webhook(
        make_workspace(), secret=SECRET, headers={"X-Key": SECRET.strip("é")}, authorization="Bearer abc"
    )
    actions.rotate_secret(webhook, by=None)
    return webhook


def read_all(webhook):
    return (webhook.secret, webhook.previous_secret, webhook.headers, webhook.authorization)


def test_a_value_is_current_when_the_newest_key_alone_reads_it(keys):
    stored = fields.encrypted("text")
    assert fields.is_current(stored)
    keys(NEW, OLD)
    assert not fields.is_current(stored)
    assert fields.decrypted(stored) == "text"
    assert fields.is_current(fields.encrypted("text"))
    assert not fields.is_current(EncryptedText("fernet:é"))


def test_everything_is_written_under_the_newest_key_and_nothing_else_changes(webhook, keys, capsys):
    before, plain = Webhook.objects.values("version", "updated_at").get(), read_all(webhook)
    make_webhook(webhook.workspace, name="Without")
    keys(NEW, OLD)
    call_command("webhooks", "reencrypt")
    assert capsys.readouterr().out == "4 values re-encrypted, 0 were under the newest key\n"
    call_command("webhooks", "reencrypt")
    assert capsys.readouterr().out == "0 values re-encrypted, 4 were under the newest key\n"
    keys(NEW)
    stored = Webhook.objects.get(pk=webhook.pk)
    assert read_all(stored) == plain
    assert Webhook.objects.values("version", "updated_at").get(pk=webhook.pk) == before


def test_more_rows_than_one_batch_and_deleted_ones_are_reached(webhook, keys, monkeypatch):
    monkeypatch.setattr(reencryption, "BATCH", 2)
    for number in range(4):
        make_webhook(webhook.workspace, name=str(number), secret=SECRET)
    Webhook.objects.filter(name="3").update(deleted_at="2026-01-01T00:00Z")
    keys(NEW, OLD)
    assert reencryption.reencrypt().written == 4 + 4
    keys(NEW)
    assert [w.secret for w in Webhook.with_deleted.exclude(pk=webhook.pk)] == [SECRET] * 4


def test_what_no_key_reads_is_told_and_left_as_it_is(webhook, keys, capsys):
    stored = Webhook.objects.values("authorization", "secret").get()
    Webhook.objects.update(authorization=EncryptedText("fernet:unreadable"))
    keys(NEW, OLD)
    with pytest.raises(CommandError, match=rf"left as they are: {webhook.pk}\. Bring their key back"):
        call_command("webhooks", "reencrypt")
    assert capsys.readouterr().out.startswith("3 values re-encrypted")
    now = Webhook.objects.values("authorization", "secret").get()
    assert now["authorization"] == "fernet:unreadable"
    assert now["secret"] != stored["secret"]


# --- killed midway

ROWS = 1200


def many_webhooks(workspace):
    rows = [
        Webhook(workspace=workspace, name=str(number), callback_url="https://example.com/", secret=SECRET)
        for number in range(ROWS)
    ]
    token = fields.encrypted(SECRET)
    for row in rows:
        row.secret = token
    Webhook.objects.bulk_create(rows)


def count_current():
    return sum(fields.is_current(token) for token in tokens())


def tokens():
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM webhooks_webhook ORDER BY id DESC")
        return [EncryptedText(token) for (token,) in cursor.fetchall()]


@pytest.mark.django_db(transaction=True)
def test_killed_midway_and_run_again_every_value_is_readable_at_every_moment(keys, database_url):
    many_webhooks(make_workspace())
    keys(NEW, OLD)
    env = environment(database_url, ENCRYPTION_KEYS=[NEW, OLD])
    command = [sys.executable, "manage.py", "webhooks", "reencrypt"]
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not first_is_current():
            assert process.poll() is None
            assert time.monotonic() < deadline
    finally:
        process.kill()
        process.wait()
    done = count_current()
    assert 0 < done < ROWS
    assert {fields.decrypted(token) for token in tokens()} == {SECRET}
    again = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=True)
    written, current = map(int, re.findall(r"\d+", again.stdout))
    assert (written, current) == (ROWS - done, done)
    keys(NEW)
    assert {fields.decrypted(token) for token in tokens()} == {SECRET}


def first_is_current():
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM webhooks_webhook ORDER BY id LIMIT 1")
        return fields.is_current(EncryptedText(cursor.fetchone()[0]))


@pytest.mark.django_db(transaction=True)
def test_a_rotation_meanwhile_is_not_undone(keys):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer")
    webhook = make_webhook(make_workspace(), secret=SECRET)
    keys(NEW, OLD)
    locked, finished = threading.Event(), threading.Event()

    def run():
        locked.wait(10)
        reencryption.reencrypt()
        finished.set()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    with transaction.atomic():
        actions.rotate_secret(webhook, by=None, secret="newer")
        locked.set()
        # It waits for the row; without the lock it would write back what it read before.
        assert not finished.wait(1)
    thread.join(10)
    assert Webhook.objects.get().secret == "newer"
    assert Webhook.objects.get().previous_secret == SECRET
