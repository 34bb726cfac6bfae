"""Worker processes as an init system runs them: each unit a process with its children, restarted when it is killed."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.processes import ROOT, descendants, wait_for
from webhooks.conf import RECORD_MARGIN

from .oracle import Kill

# Seconds. What is claimed is sent within two of them, or handed back.
TIMEOUT = 3
LEASE = TIMEOUT + RECORD_MARGIN + 2
BUDGET = 2
# For so long a lease keeps what was sent and not recorded from being sent again.
SOONEST_REPEAT = TIMEOUT + RECORD_MARGIN
# The time to stop, as docs/running.md reckons it.
GRACE = BUDGET + TIMEOUT + RECORD_MARGIN

DELIVER = ("webhooks", "deliver")
CLUSTER = ("qcluster",)


def environment(database_url, command, **webhooks):
    """Return the environment of a worker with the project's own settings, and leases short enough to wait for."""
    settings = {
        "ALLOWED_NETWORKS": ["127.0.0.0/8"],
        "RETRY_SCHEDULE": [1],
        "TIMEOUT": TIMEOUT,
        "LEASE": LEASE,
        "DRAIN_BUDGET": BUDGET,
        "CONCURRENCY": 32,
        # What a killed worker held counts until its lease has ended.
        "IN_FLIGHT_PER_WEBHOOK": 250,
        "WAKE": "notify" if command == DELIVER else "django-q2",
        **webhooks,
    }
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "DATABASE_URL": database_url,
        "WEBHOOKS": json.dumps(settings),
    }


class Unit:
    """`manage.py …` in a session of its own."""

    def __init__(self, command, env):
        # A quarter of the time to start goes into checks that are not for this test to do.
        self.command = [sys.executable, "manage.py", command[0], "--skip-checks", *command[1:]]
        self.env = env
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  closed with the object
        self.kills = []
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            self.command,
            cwd=ROOT,
            env=self.env,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    def pids(self):
        """Return the main process and all that it started, though it may be gone itself."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if self._owns(pid)]

    def _owns(self, pid):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return False
        return fields[0] != "Z" and int(fields[2]) == self.process.pid

    def kill(self, *pids):
        """SIGKILL these processes, and note when."""
        for pid in pids:
            self.kills.append(Kill(time.monotonic(), pid))
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def restart(self):
        """SIGKILL all that is left at once, what it is just forking too, and start again."""
        now = time.monotonic()
        self.kills += [Kill(now, pid) for pid in self.pids()]
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        wait_for(lambda: self.process.poll() is not None and not self.pids(), 20, "the end of the killed")
        self.start()

    def terminate(self, seconds):
        """SIGTERM the main process only, and return how long it took to end; raises when it took longer."""
        started = time.monotonic()
        self.process.terminate()
        self.process.wait(seconds)
        return time.monotonic() - started

    def close(self):
        """End all of it, and say the last of what it said: pytest shows that beside a failure."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        with self.log:
            self.log.seek(0)
            print(self.log.read().decode(errors="replace")[-3000:])


class Fleet:
    """The units of one test, and the pids that may send."""

    def __init__(self):
        self.units = []

    def start(self, command, env, number=1):
        units = [Unit(command, env) for _ in range(number)]
        self.units += units
        return units

    def senders(self):
        """Return the pids that may send: quickly, for it is asked at each connection. Orphans are not among them."""
        mains = [unit.process.pid for unit in list(self.units)]
        return [pid for main in mains for pid in (main, *descendants(main))]

    @property
    def kills(self):
        return [kill for unit in self.units for kill in unit.kills]


@contextmanager
def fleet():
    result = Fleet()
    try:
        yield result
    finally:
        for unit in result.units:
            unit.close()
