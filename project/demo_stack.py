"""The demo's three processes, started, tended and stopped together: receiver, web and cluster."""

from __future__ import annotations

import errno
import http.client
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import IO

from django.conf import settings
from django.core.management.base import CommandError

from project import demo_data, demo_report
from project.processes import Child, stop_all

STARTED_WITHIN = 40
STOPPED_WITHIN = 25
RECEIVER_HOST = "127.0.0.1"
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  compared with, not listened on


class Stack:
    """`say` gets each line that a person should see; `receipts` what the receiver printed."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        receiver_port: int,
        environment: Mapping[str, str],
        log: IO[str],
        say: Callable[[str], None],
    ) -> None:
        self.listen_on = f"{_bracketed(host)}:{port}"
        self.web_host, self.port = _EVERY_ADDRESS.get(host, host), port
        self.url = f"http://{_bracketed(self.web_host)}:{port}"
        self.receiver_port = receiver_port
        self.environment = {
            **environment,
            "DJANGO_ALLOWED_HOSTS": ",".join([*settings.ALLOWED_HOSTS, _bracketed(self.web_host)]),
        }
        self.log = log
        self.say = say
        self.receipts: list[demo_report.Receipt] = []
        self.children: dict[str, Child] = {}

    def start(self) -> None:
        """Return when the web answers. The receiver comes first: the cluster may already owe something."""
        receiver = self._start(
            "receiver",
            *("-m", "project.receiver", "--port", str(self.receiver_port), "--secret", demo_data.SECRET),
            output=subprocess.PIPE,
        )
        self.listener = threading.Thread(target=self._listen, args=(receiver,), daemon=True)
        self.listener.start()
        self._demand(self._receiver_answers, "The receiver did not answer.")
        manage = str(settings.BASE_DIR / "manage.py")
        self._start("web", manage, "runserver", "--noreload", "--insecure", self.listen_on, output=self.log)
        self._start("cluster", manage, "qcluster", output=self.log)
        self._demand(self._web_answers, "The web process did not answer.")

    def tend(self) -> None:
        """Start a dead cluster again; without its web or its receiver the demo has failed."""
        for name, child in self.children.items():
            if child.is_alive():
                continue
            if name != "cluster":
                raise CommandError(f"The {name} process has ended.")
            self.say("The cluster has ended; starting it again.")
            child.restart()

    def wait_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Return whether `condition` came true in time; raises CommandError when a process has ended."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            self.tend()
            time.sleep(0.1)
        return True

    def stop(self) -> None:
        """End all of it, the receiver last: what the cluster has in flight may still arrive."""
        receiver = self.children.pop("receiver", None)
        stop_all(list(self.children.values()), STOPPED_WITHIN)
        if receiver is not None:
            stop_all([receiver], STOPPED_WITHIN)
            self.listener.join(STOPPED_WITHIN)

    def _start(self, name: str, *arguments: str, output: IO[str] | int) -> Child:
        self.children[name] = Child(name, [sys.executable, *arguments], self.environment, output)
        return self.children[name]

    def _demand(self, condition: Callable[[], bool], failure: str) -> None:
        if not self.wait_until(condition, STARTED_WITHIN):
            raise CommandError(failure)

    def _listen(self, receiver: Child) -> None:
        """Pass on what the receiver prints, and keep it for the table."""
        for line in receiver.process.stdout or ():
            receipt = demo_report.parse(line)
            if receipt is not None:
                self.receipts.append(receipt)
            self.say(line.rstrip("\n"))

    def _receiver_answers(self) -> bool:
        try:
            socket.create_connection((RECEIVER_HOST, self.receiver_port), timeout=5).close()
        except OSError:
            return False
        return True

    def _web_answers(self) -> bool:
        # Not urllib: it would ask a proxy that the environment names.
        connection = http.client.HTTPConnection(self.web_host, self.port, timeout=5)
        try:
            connection.request("GET", "/login/")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def demand_free(host: str, port: int, flag: str) -> None:
    """Raise CommandError, naming the flag to change, when nothing can listen on this address."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise CommandError(f"Port {port} is in use: choose another with {flag}.") from None
            if error.errno == errno.EACCES:
                raise CommandError(f"Port {port} is not for this user: choose another with {flag}.") from None
            raise CommandError(f"{host} is no address of this machine: choose another with --host.") from None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
