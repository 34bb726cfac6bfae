"""The tests' own PostgreSQL server, stopped as by a power cut, and started again."""

import os
import pwd
import shlex
import subprocess
from pathlib import Path

from django.db import connections


class Server:
    """The server whose data folder this is; its socket is there too, as tests/__main__.py starts it."""

    def __init__(self, folder):
        self._folder = folder
        program, *self._options = shlex.split((self._folder / "postmaster.opts").read_text())
        self._control = Path(program).with_name("pg_ctl")

    def stop(self):
        """End it in the middle of whatever it does: connections break, and it must recover when it starts."""
        connections.close_all()
        self._run("--mode=immediate", "stop")

    def ensure_running(self):
        if not (self._folder / "postmaster.pid").exists():
            self.start()

    def start(self):
        log = self._folder / "log"
        self._run(f"--log={log}", f"--options={shlex.join(self._options)}", "start")

    def _run(self, *arguments):
        owner = pwd.getpwuid(self._folder.stat().st_uid).pw_name
        subprocess.run(
            [self._control, "--wait", f"--pgdata={self._folder}", *arguments],
            check=True,
            # PostgreSQL refuses to be run by root.
            user=owner if os.geteuid() == 0 else None,
            # What it starts must not inherit a pipe of ours.
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
