"""manage.py demo: the whole product at work on one machine, in one command."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from project import demo_data, demo_report
from project.processes import Child, stop_all
from webhooks.models import Delivery, Event

STARTED_WITHIN = 40
STOPPED_WITHIN = 25


class Command(BaseCommand):
    help = "Start web, cluster and a small receiver, with a workspace to try. --once: check the whole without a person."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="publish, wait, print a table, exit 0 if all is well"
        )
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--receiver-port", type=int, default=8001)
        parser.add_argument("--timeout", type=float, default=45, help="seconds that --once waits")

    def handle(self, *args: Any, **options: Any) -> None:
        signal.signal(signal.SIGTERM, _interrupt)
        # A background job inherits SIGINT ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _demand_free(options["host"], options["port"], "--port")
        _demand_free("127.0.0.1", options["receiver_port"], "--receiver-port")
        environment = self._allow_loopback()
        call_command("migrate", verbosity=0)
        self.receiver_url = f"http://127.0.0.1:{options['receiver_port']}"
        data = demo_data.prepare(self.receiver_url)
        connection.close()
        with tempfile.TemporaryDirectory(prefix="webhooks-demo-") as folder:
            _Demo(self, data, options, environment, Path(folder) / "demo.log").run()

    def _allow_loopback(self) -> dict[str, str]:
        """Let this process and its children call loopback, and retry after a second: in the demo only."""
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


class _Demo:
    def __init__(
        self,
        command: Command,
        data: demo_data.DemoData,
        options: dict[str, Any],
        environment: dict[str, str],
        log: Path,
    ) -> None:
        self.command = command
        self.data = data
        self.options = options
        self.environment = environment
        self.log = log
        self.receipts: list[demo_report.Receipt] = []
        self.printing = threading.Lock()

    def run(self) -> None:
        children: list[Child] = []
        with self.log.open("w") as log:
            try:
                self._start(children, log)
                self._wait_for(self._web_answers, STARTED_WITHIN, "The web process did not answer.")
                if self.options["once"]:
                    self._run_once()
                else:
                    self._introduce()
                    while True:
                        self._tend()
                        time.sleep(0.5)
            except KeyboardInterrupt:
                self._say("Stopping.")
                if self.options["once"]:
                    raise CommandError("Interrupted before every delivery was seen.") from None
            except CommandError:
                self._say("The last lines of the processes:\n" + "\n".join(_tail(self.log, 30)))
                raise
            finally:
                stop_all(children, STOPPED_WITHIN)

    def _start(self, children: list[Child], log: Any) -> None:
        manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
        address = f"{self.options['host']}:{self.options['port']}"
        receiver_command = [
            *(sys.executable, "-m", "project.receiver"),
            *("--port", str(self.options["receiver_port"]), "--secret", demo_data.SECRET),
        ]
        web_command = [*manage, "runserver", "--noreload", "--insecure", address]
        self.receiver = Child("receiver", receiver_command, self.environment, subprocess.PIPE)
        children.append(self.receiver)
        self.web = Child("web", web_command, self.environment, log)
        children.append(self.web)
        self.cluster = Child("cluster", [*manage, "qcluster"], self.environment, log)
        children.append(self.cluster)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        """Print what the receiver prints, and keep it for the table."""
        for line in self.receiver.process.stdout or ():
            receipt = demo_report.parse(line)
            if receipt is not None:
                self.receipts.append(receipt)
            self._say(line.rstrip("\n"))

    def _tend(self) -> None:
        """Start a dead cluster again; without its web or its receiver the demo has failed."""
        if not self.cluster.is_alive():
            self._say("The cluster has ended; starting it again.")
            self.cluster.restart()
        for child in (self.web, self.receiver):
            if not child.is_alive():
                raise CommandError(f"The {child.name} process has ended.")

    def _run_once(self) -> None:
        known = set(Event.objects.filter(workspace=self.data.workspace).values_list("pk", flat=True))
        demo_data.publish_activities(self.data.workspace)
        mine = Event.objects.filter(workspace=self.data.workspace).exclude(pk__in=known)
        event_ids = list(mine.values_list("pk", flat=True))

        def deliveries() -> list[Delivery]:
            rows = Delivery.objects.filter(event__in=event_ids, webhook__in=self.data.webhooks)
            return list(rows.select_related("webhook").prefetch_related("attempts").order_by("pk"))

        def ended() -> bool:
            self._tend()
            return all(delivery.status != "pending" for delivery in deliveries())

        in_time = self._wait_for(ended, self.options["timeout"], None)
        time.sleep(0.2)  # the receiver's last line may still be on its way through the pipe
        report = demo_report.compare(deliveries(), self.receipts)
        for line in report.lines():
            self._say(line)
        if not report.is_complete:
            reason = "differ" if in_time else f"are not complete after {self.options['timeout']:g} s"
            raise CommandError(f"What was sent, received, verified and recorded {reason}.")

    def _introduce(self) -> None:
        base = f"http://{self.options['host']}:{self.options['port']}"
        self._say(
            f"""
Open: {base}/
Login: {demo_data.USERNAME} / {demo_data.PASSWORD}
API token: {self.data.token}
Callback URL: {self.command.receiver_url}/yours
Secret: {demo_data.SECRET}

1. Log in, and click “Webhooks” in the sidebar.
2. Click “Create Webhook”, fill in the form with the callback URL and the secret above,
   choose your events, and click “Create”.
3. Add an activity under “Activities”, or change one: the request arrives here, with its signature
   verified, and “Deliveries” shows what was sent and answered.

Ctrl-C stops everything.
"""
        )

    def _web_answers(self) -> bool:
        self._tend()
        url = f"http://{self.options['host']}:{self.options['port']}/admin/login/"
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return bool(response.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def _wait_for(self, condition: Callable[[], bool], seconds: float, failure: str | None) -> bool:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                if failure is not None:
                    raise CommandError(failure)
                return False
            time.sleep(0.1)
        return True

    def _say(self, text: str) -> None:
        with self.printing:
            self.command.stdout.write(text)
            self.command.stdout.flush()


def _demand_free(host: str, port: int, flag: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise CommandError(f"Port {port} is in use: choose another with {flag}.") from None


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _tail(path: Path, lines: int) -> list[str]:
    return path.read_text(errors="replace").splitlines()[-lines:]
