"""What the contenders share: a receiver, PostgreSQL, Redis, on loopback or Unix sockets. All end with this process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.contenders.assignment import Assignment, Figures
from benchmarks.contenders.field import MANY, WRK, Contender
from benchmarks.environments import REQUIREMENTS, Unavailable, interpreter
from benchmarks.programs import Program, program
from benchmarks.stage import ROOT, nginx, postgresql, wait_until
from benchmarks.statements import VARIABLE
from project.processes import Child, stop_all

# Seconds.
STARTING = 20
STOPPING = 10
PATIENCE = 300


@dataclass(frozen=True)
class Surroundings:
    folder: Path
    cache: Path
    receiver: str
    receiver_name: str
    pids: Mapping[str, int]
    wrk: Program | None

    def measure(self, contender: Contender, assignment: Assignment) -> Figures:
        """Measure one contender in a process of its own. Raises Unavailable, also when it fails."""
        statements = self.folder / "statements"
        statements.write_bytes(b"")
        names = ["receiver"]
        if contender.database == "postgresql":
            names.append("database")
        if contender.peer:
            names.append("broker")
        asked = replace(
            assignment,
            watched={name: self.pids[name] for name in names if name in self.pids},
            statements=str(statements),
        )
        environment = self._environment(contender) | {VARIABLE: str(statements)}
        arguments = [self.wrk_path if given == WRK else given for given in contender.arguments]
        module = f"benchmarks.contenders.{contender.module}"
        command = [self._python(contender), "-m", module, asked.dumped(), *arguments]
        return Figures.loaded(self.output(command, environment).splitlines()[-1])

    def output(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        seconds: float = PATIENCE,
        accepted: Collection[int] = (0,),
    ) -> str:
        """Return what a command prints.

        Raises Unavailable if it is not done in time, ends as is not accepted, or complains and does not end with 0.
        """
        printed, complaints = self.folder / "printed", self.folder / "complaints"
        with printed.open("w") as file, complaints.open("w") as errors:
            child = Child(command[-1], command, {**environment, "PYTHONUNBUFFERED": "1"}, file, errors)
            deadline = time.monotonic() + seconds
            try:
                while child.is_alive() and time.monotonic() < deadline:
                    time.sleep(0.05)
                late = child.is_alive()
            finally:
                stop_all([child], STOPPING)
        reason = (
            f"not done within {seconds:g} s" if late else complaints.read_text().rstrip().rpartition("\n")[2]
        )
        code = child.process.returncode
        if code not in accepted or (code and reason):
            raise Unavailable(reason or f"it ended with {code}", printed.read_text())
        return printed.read_text()

    @property
    def wrk_path(self) -> str:
        if self.wrk is None:
            raise Unavailable("there is no wrk")
        return self.wrk.path

    def _python(self, contender: Contender) -> str:
        return str(interpreter(contender.peer, self.cache)) if contender.peer else sys.executable

    def _environment(self, contender: Contender) -> dict[str, str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **contender.environment}
        if contender.database == "sqlite":
            # A new file each time: the folder goes when all is done.
            environment["DATABASE_URL"] = f"sqlite:///{self.folder}/{time.monotonic_ns()}.sqlite3"
        if contender.peer:
            if "broker" not in self.pids:
                raise Unavailable("there is no redis-server")
            environment["PEER_DATABASE"] = database_of(contender.peer)
            environment["PEER_DATABASE_HOST"] = str(self.folder / "data")
            environment["PEER_BROKER"] = f"redis+socket://{self.folder}/redis.sock"
        if contender.module == "client" and self.wrk is not None:
            environment |= self.wrk.environment
        return environment


def database_of(peer: str) -> str:
    return peer.replace("-", "_")


@contextmanager
def surroundings(cache: Path) -> Iterator[Surroundings]:
    """Start what the contenders share; it ends with the block, and when this process is killed."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="webhooks-benchmark-")))
        folder.chmod(0o755)
        stack.enter_context(postgresql(folder))
        pids = {"database": int((folder / "data" / "postmaster.pid").read_text().split()[0])}
        _create_databases(folder)
        url, name, pids["receiver"] = stack.enter_context(_receiver(folder, cache))
        redis = program("redis-server", cache)
        if redis is not None:
            pids["broker"] = stack.enter_context(_redis(redis, folder))
        yield Surroundings(folder, cache, url, name, pids, program("wrk", cache))


def assignment_for(
    contender: Contender, receiver: str, scales: Mapping[str, tuple[int, int]], events: int = 0
) -> Assignment:
    warm_up, deliveries = scales[contender.scale]
    return Assignment(
        receiver=receiver,
        processes=contender.processes,
        webhooks=min(contender.webhooks, MANY),
        warm_up=warm_up,
        deliveries=deliveries,
        events=events,
    )


@contextmanager
def _receiver(folder: Path, cache: Path) -> Iterator[tuple[str, str, int]]:
    """Yield the URL, the name and the pid of nginx or, where there is none, of our own receiver."""
    if given := program("nginx", cache):
        with nginx(folder, given) as url:
            yield url, "nginx", int((folder / "nginx.pid").read_text())
    else:
        with light_receiver(folder / "receiver-port", "0") as (url, pid):
            yield url, "the light receiver of benchmarks/receiver.py", pid


@contextmanager
def light_receiver(port_file: Path, delay: str) -> Iterator[tuple[str, int]]:
    """Yield the URL and the pid of a receiver that answers after `delay` seconds, or "never"."""
    command = [sys.executable, "-m", "benchmarks.receiver", str(port_file), delay]
    child = Child("receiver", command, {**os.environ, "PYTHONPATH": str(ROOT)}, subprocess.DEVNULL)
    try:
        wait_until(port_file.exists, STARTING)
        yield f"http://127.0.0.1:{port_file.read_text()}/hook", child.process.pid
    finally:
        stop_all([child], STOPPING)
        port_file.unlink(missing_ok=True)


@contextmanager
def _redis(redis: Program, folder: Path) -> Iterator[int]:
    socket = folder / "redis.sock"
    # Nothing is kept on disk: the broker's defaults would only slow the peers down.
    command = [redis.path, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
    child = Child("redis", command, {**os.environ, **redis.environment}, subprocess.DEVNULL)
    try:
        wait_until(socket.exists, STARTING)
        yield child.process.pid
    finally:
        stop_all([child], STOPPING)


def _create_databases(folder: Path) -> None:
    import psycopg

    with psycopg.connect(f"host={folder}/data user=postgres dbname=postgres", autocommit=True) as connection:
        for peer in REQUIREMENTS:
            connection.execute(f"CREATE DATABASE {database_of(peer)}")
