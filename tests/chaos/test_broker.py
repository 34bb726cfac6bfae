"""Redis forgets everything: the broker carried an alarm, never the work."""

import subprocess
from importlib import import_module
from importlib.util import find_spec

import pytest
from django_q.conf import Conf

from tests.conftest import missing
from tests.processes import wait_for

from . import workers
from .workers import CLUSTER, LEASE


@pytest.fixture
def redis(require, tmp_path, monkeypatch):
    """A client of a Redis server, which this process's django-q2 takes as its broker too."""
    program = require("redis-server")
    if find_spec("redis") is None:
        missing("Redis's client is not installed")
    client_of = import_module("redis").Redis
    socket = tmp_path / "redis.sock"
    command = [program, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", tmp_path]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_for(socket.exists, 20, "Redis")
        monkeypatch.setattr(Conf, "ORM", None)
        monkeypatch.setattr(Conf, "REDIS", f"unix://{socket}")
        with client_of(unix_socket_path=str(socket)) as client:
            yield client
    finally:
        process.terminate()
        process.wait(20)


def test_redis_that_is_emptied_again_and_again(scene, redis, database_url):
    scene.emit(100)
    assert redis.keys()  # the wake-up
    redis.flushall()
    env = {**workers.environment(database_url, CLUSTER), "REDIS_URL": Conf.REDIS}
    [unit] = scene.fleet.start(CLUSTER, env)
    scene.wait_tended(lambda: scene.received(20), 30)
    for _ in range(10):
        received = len(scene.receiver.requests)
        scene.emit(50)
        redis.flushall()
        scene.wait_tended(lambda least=received: scene.received(least + 20), 30)
    scene.wait_delivered(LEASE)
    assert unit.process.poll() is None
    assert not scene.examine().repeated
