"""manage.py demo: the whole product at work on one machine, in one command."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from project import demo_data, demo_report
from project.demo_stack import RECEIVER_HOST, Stack, demand_free
from webhooks.models import Delivery

LOG_LINES_SHOWN = 30
PRINTED_WITHIN = 2


class Command(BaseCommand):
    help = "Start web, cluster and a small receiver, with a workspace to try. --once: check the whole without a person."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="publish, wait, print a table, exit 0 if all is well"
        )
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=_port, default=8000)
        parser.add_argument("--receiver-port", type=_port, default=8001)
        parser.add_argument("--timeout", type=float, default=45, help="seconds that --once waits")

    def handle(self, *args: Any, **options: Any) -> None:
        self.printing = threading.Lock()
        signal.signal(signal.SIGTERM, _interrupt)
        # A background job inherits SIGINT ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _demand_ports(options["host"], options["port"], options["receiver_port"])
        environment = _allow_loopback()
        call_command("migrate", verbosity=0)
        self.receiver_url = f"http://{RECEIVER_HOST}:{options['receiver_port']}"
        self.data = demo_data.prepare(self.receiver_url)
        connection.close()
        folder = Path(tempfile.mkdtemp(prefix="webhooks-demo-"))
        with (folder / "demo.log").open("w") as log:
            names = ("host", "port", "receiver_port")
            where = {name: options[name] for name in names}
            stack = Stack(**where, environment=environment, log=log, say=self._say)
            try:
                self._run(stack, options["once"], options["timeout"])
            except CommandError:
                self._show_log(Path(log.name))
                raise
        shutil.rmtree(folder)

    def _run(self, stack: Stack, once: bool, timeout: float) -> None:
        report = None
        try:
            stack.start()
            if once:
                report = self._run_once(stack, timeout)
            else:
                self._introduce(stack.url)
                while True:
                    stack.tend()
                    time.sleep(0.5)
        except KeyboardInterrupt:
            if once:
                raise CommandError("Interrupted before every delivery was seen.") from None
            self._say("Stopping.")
        finally:
            # An impatient second Ctrl-C must not leave a process behind.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            stack.stop()
        if report is not None:
            self._tell(report, timeout)

    def _run_once(self, stack: Stack, timeout: float) -> demo_report.Report:
        events = demo_data.publish_activities(self.data.workspace)
        mine = Delivery.objects.filter(event__in=events, webhook__in=self.data.webhooks)

        def compared() -> demo_report.Report:
            rows = mine.select_related("webhook").prefetch_related("attempts").order_by("pk")
            return demo_report.compare(rows, list(stack.receipts))

        stack.wait_until(lambda: not mine.filter(status=Delivery.Status.PENDING).exists(), timeout)
        # The receiver's last lines may still be on their way through the pipe.
        stack.wait_until(lambda: compared().is_complete, min(PRINTED_WITHIN, timeout))
        return compared()

    def _tell(self, report: demo_report.Report, timeout: float) -> None:
        """Print the table when nothing else prints any more: its sum is the last line."""
        self._say("\n".join(report.lines()))
        if report.pending:
            raise CommandError(f"{report.pending} deliveries are not complete after {timeout:g} s.")
        if not report.is_complete:
            raise CommandError("What was owed, received, verified and recorded is not the same.")

    def _introduce(self, url: str) -> None:
        self._say(
            f"""
Open: {url}/
Login: {demo_data.USERNAME} / {demo_data.PASSWORD}
API token: {self.data.token}
Callback URL: {self.receiver_url}/yours
Secret: {demo_data.SECRET}

1. Log in, enter the workspace “Demo”, and click “Webhooks” in its sidebar.
2. Click “Create Webhook”, fill in the form with the callback URL and the secret above,
   choose your events, and click “Create”.
3. Add an activity under “Activities”, or change one: the request arrives here, with its signature
   verified, and “Deliveries” shows what was sent and answered.

The operators’ view of all workspaces: {url}/admin/. Ctrl-C stops everything.
"""
        )

    def _show_log(self, log: Path) -> None:
        lines = log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        self.stderr.write("\n".join([f"The log of web and cluster is {log}. Its last lines:", *lines]))

    def _say(self, text: str) -> None:
        with self.printing:
            self.stdout.write(text)
            self.stdout.flush()


def _demand_ports(host: str, port: int, receiver_port: int) -> None:
    if port == receiver_port:
        raise CommandError(f"Web and receiver cannot share port {port}: choose another with --receiver-port.")
    demand_free(host, port, "--port")
    demand_free(RECEIVER_HOST, receiver_port, "--receiver-port")


def _allow_loopback() -> dict[str, str]:
    """Let this process call loopback, and retry after a second; return the same for its children."""
    configured = dict(settings.WEBHOOKS)
    changes = {
        "ALLOWED_NETWORKS": [*configured.get("ALLOWED_NETWORKS", ()), "127.0.0.0/8"],
        "RETRY_SCHEDULE": [1],
        "RETRY_JITTER": 0,
    }
    settings.WEBHOOKS = {**configured, **changes}
    from_environment = json.loads(os.environ.get("WEBHOOKS", "{}"))
    return {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "WEBHOOKS": json.dumps({**from_environment, **changes}),
    }


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return port


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
