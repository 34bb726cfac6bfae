"""What django-q2 does not get over by itself, an init system and a watchdog do."""

import subprocess
import sys

from tests.processes import ROOT, descendants, wait_for

from . import workers
from .workers import CLUSTER, LEASE

MAX_LAG = 2


def is_healthy(env):
    command = [sys.executable, "manage.py", "webhooks", "health", "--max-lag", str(MAX_LAG)]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, check=False).returncode == 0


def test_a_cluster_that_hangs_is_noticed_and_its_restart_delivers(scene, database_url):
    env = workers.environment(database_url, CLUSTER)
    [unit] = scene.fleet.start(CLUSTER, env)
    scene.emit(50)
    scene.wait_delivered(2 * LEASE)
    assert is_healthy(env)
    # Idle workers: one of them holds the lock of the queue, and takes it to its grave.
    sentinel = descendants(unit.process.pid)[0]
    unit.kill(*descendants(sentinel)[:2])
    before = len(scene.receiver.requests)
    scene.emit(50)
    wait_for(lambda: not is_healthy(env), 30, "an alarm")
    assert unit.process.poll() is None
    assert len(scene.receiver.requests) == before
    unit.restart()
    scene.wait_delivered(2 * LEASE)
    assert is_healthy(env)
    assert not scene.examine().repeated


def test_orphans_beside_the_next_cluster_send_nothing_twice(scene, database_url):
    env = workers.environment(database_url, CLUSTER)
    [unit] = scene.fleet.start(CLUSTER, env)
    scene.emit(300)
    scene.wait_received(50)
    unit.kill(unit.process.pid)
    unit.process.wait(20)
    assert unit.pids()
    scene.fleet.start(CLUSTER, env)
    scene.emit(300)
    scene.wait_delivered(2 * LEASE)
    assert not scene.examine().repeated
