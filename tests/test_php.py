"""A stranger's server in PHP, with the verification that the reference page gives."""

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.factories import make_webhook, make_workspace
from webhooks import actions
from webhooks.engine import drain
from webhooks.events import emit
from webhooks.models import Attempt

SECRET = "clé secrète 日本 '\"\\"


@pytest.fixture
def php(require):
    program = require("php")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = Path(__file__).with_name("verify.php")
    process = subprocess.Popen(
        [program, "-d", "post_max_size=32M", "-S", f"127.0.0.1:{port}", str(script)],
        env={**os.environ, "SECRET_KEY": SECRET},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_it_listens(port)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(10)


def _wait_until_it_listens(port):
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@pytest.mark.django_db(transaction=True)
def test_php_accepts_every_method_and_content_type(php):
    workspace = make_workspace()
    contents = ("application/json", "application/x-www-form-urlencoded", "application/cloudevents+json")
    methods = ("POST", "PUT", "PATCH", "DELETE")
    for method in methods:
        for content_type in contents:
            make_webhook(
                workspace,
                name=f"{method} {content_type}",
                callback_url=php,
                method=method,
                content_type=content_type,
                secret=SECRET,
            )
    emit("order.created", workspace=workspace, data={"título": "año 日本 🎉", "n": 1.10, "nul": "\x00"})
    assert drain(linger=0) == len(methods) * len(contents)
    answers = Attempt.objects.values_list("status_code", "response_body")
    assert set(answers) == {(200, "verified")}


@pytest.mark.django_db(transaction=True)
def test_php_accepts_nine_megabytes_and_refuses_another_key(php):
    workspace = make_workspace()
    make_webhook(workspace, name="right", callback_url=php, secret=SECRET, patterns=["order.created"])
    emit("order.created", workspace=workspace, data={"text": "é" * 4_500_000})
    drain(linger=0)
    assert Attempt.objects.get().response_body == "verified"
    make_webhook(workspace, name="wrong", callback_url=php, secret="another", patterns=["order.paid"])
    emit("order.paid", workspace=workspace, data={})
    drain(linger=0)
    assert Attempt.objects.order_by("pk").last().response_body == "invalid"


@pytest.mark.django_db(transaction=True)
def test_php_with_the_former_key_accepts_during_a_rotation_and_refuses_after_it(php):
    workspace = make_workspace()
    webhook = make_webhook(workspace, callback_url=php, secret=SECRET)
    actions.rotate_secret(webhook, by=None)
    for answer in ("verified", "invalid"):
        emit("order.created", workspace=workspace, data={"título": "año"})
        drain(linger=0)
        assert Attempt.objects.order_by("pk").last().response_body == answer
        actions.finish_rotation(webhook, by=None)
