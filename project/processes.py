"""Child processes that never outlive their parent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import IO

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class Child:
    """A process in a session of its own, so that Ctrl-C in the terminal reaches only its parent."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        output: IO[str] | int,
        errors: IO[str] | int = subprocess.STDOUT,
    ) -> None:
        self.name = name
        self.command = command
        self.environment = environment
        self.output = output
        self.errors = errors
        self.process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=self.errors,
            text=True,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def restart(self) -> None:
        """Start it again, after whatever the dead one left of its group has ended."""
        self._kill_group()
        self.process = self._start()

    def ask_to_stop(self) -> None:
        if self.is_alive():
            self.process.terminate()

    def stop(self, deadline: float) -> None:
        """Wait until `deadline` on the monotonic clock, then end it and everything that it started."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(max(deadline - time.monotonic(), 0))
        self._kill_group()
        self.process.wait()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


def stop_all(children: Sequence[Child], seconds: float) -> None:
    """Ask all of them to stop, and make them after `seconds`."""
    for child in children:
        child.ask_to_stop()
    deadline = time.monotonic() + seconds
    for child in children:
        child.stop(deadline)


def _die_with_parent() -> None:
    # A background job of a shell ignores SIGINT, and its children inherit that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
