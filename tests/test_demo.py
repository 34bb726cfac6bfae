"""manage.py demo, as a person or a machine runs it: processes of its own, and a database of its own."""

import os
import signal
import socket
import subprocess
import sys
import time

from tests.demo import command, free_port, fresh_database, running_demo
from tests.processes import ROOT, descendants, wait_for

SPOIL = """
from datetime import timedelta
from django.utils import timezone
from webhooks.models import Webhook, WebhookState
soon = timezone.now() + timedelta(hours=1)
for webhook in Webhook.objects.all():
    webhook.is_active, webhook.previous_secret, webhook.previous_secret_expires_at = False, "former", soon
    webhook.save()
    WebhookState.objects.update_or_create(webhook=webhook, defaults={"paused_until": soon, "disabled_at": soon})
"""


def run_once(database_url, *arguments):
    ports = ("--port", str(free_port()), "--receiver-port", str(free_port()))
    options = command(database_url, "--once", *ports, *arguments)
    return subprocess.run(**options, capture_output=True, text=True, timeout=120, check=False)


def test_once_delivers_verifies_and_records_and_may_be_run_again(tmp_path):
    with fresh_database(tmp_path) as database_url:
        for _ in range(2):
            done = run_once(database_url)
            assert done.returncode == 0, done.stdout + done.stderr
            lines = done.stdout.splitlines()
            assert lines[-1] == "deliveries: 18, received: 18, verified: 18, recorded: 18"
            assert any(line.endswith("3/8       500,500,200") and "Flaky" in line for line in lines)


def test_once_fails_when_it_ran_out_of_time_and_keeps_the_log(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with fresh_database(tmp_path) as database_url:
        done = run_once(database_url, "--timeout", "0.1")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("deliveries: 18, received: ")
    assert "deliveries are not complete after 0.1 s." in done.stderr
    [log] = tmp_path.glob("webhooks-demo-*/demo.log")
    assert f"The log of web and cluster is {log}." in done.stderr
    assert "Q Cluster" in log.read_text()


def test_once_mends_what_was_done_to_its_webhooks(tmp_path):
    """Disabled, paused and in the middle of a rotation."""
    with fresh_database(tmp_path) as database_url:
        assert run_once(database_url).returncode == 0
        spoil = [sys.executable, "manage.py", "shell", "-c", SPOIL]
        environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "DJANGO_SETTINGS_MODULE": "project.settings",
        }
        subprocess.run(spoil, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        done = run_once(database_url)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_interrupted_once_is_no_success(tmp_path):
    with fresh_database(tmp_path) as database_url:
        ports = ("--port", str(free_port()), "--receiver-port", str(free_port()))
        process = subprocess.Popen(
            **command(database_url, "--once", *ports),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert "received" in process.stdout.readline()
        everything = descendants(process.pid)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=40)
    assert process.returncode == 1
    assert "Interrupted before every delivery was seen." in errors
    assert not [pid for pid in everything if os.path.exists(f"/proc/{pid}")]


def test_web_and_receiver_cannot_share_a_port(tmp_path):
    options = command(f"sqlite:///{tmp_path}/db.sqlite3", "--port", "18999", "--receiver-port", "18999")
    done = subprocess.run(**options, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "choose another with --receiver-port" in done.stderr


def test_a_busy_port_is_named_before_anything_starts(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        for flag in ("--port", "--receiver-port"):
            options = command(f"sqlite:///{tmp_path}/db.sqlite3", flag, port)
            done = subprocess.run(**options, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 1
            assert f"Port {port} is in use: choose another with {flag}." in done.stderr
    assert not (tmp_path / "db.sqlite3").exists()


def test_a_dead_cluster_is_started_again_and_ctrl_c_leaves_nothing(tmp_path):
    with running_demo(tmp_path) as demo:
        demo.wait_for_line("Secret: demo-secret")
        assert "Login: demo / demo" in demo.lines
        assert f"Callback URL: {demo.callback_url}" in demo.lines
        wait_for(lambda: len(descendants(demo.process.pid)) > 4, 30, "the cluster's workers")
        cluster = next(pid for pid in descendants(demo.process.pid) if b"qcluster" in arguments_of(pid))
        os.kill(cluster, signal.SIGKILL)
        demo.wait_for_line("starting it again")
        demo.wait_for_line("signature=verified")
        everything = descendants(demo.process.pid)
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(40) == 0
        deadline = time.monotonic() + 10
        while any(os.path.exists(f"/proc/{pid}") for pid in everything):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def arguments_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""
