"""Workers killed at random moments: nothing is lost, and whatever is sent twice was being sent when its sender died."""

import time

import pytest

from tests.processes import wait_for

from . import workers
from .scene import restart_if_hung
from .workers import CLUSTER, DELIVER, LEASE, SOONEST_REPEAT

KILLS = 50
DELIVERIES = 5000


@pytest.fixture
def notified(settings):
    settings.WEBHOOKS = {**settings.WEBHOOKS, "WAKE": "notify"}


def test_two_delivering_processes_killed_fifty_times(scene, rng, database_url, notified):
    units = scene.fleet.start(DELIVER, workers.environment(database_url, DELIVER), number=2)
    for _ in range(KILLS):
        started = time.monotonic()
        scene.emit(DELIVERIES // KILLS)
        unit = rng.choice(units)
        wait_for(lambda: unit.process.pid in scene.receiver.active(started), 30, "a request of the victim")
        time.sleep(rng.uniform(0, 0.3))
        unit.restart()
    scene.wait_delivered(3 * LEASE)
    assert len(scene.fleet.kills) == KILLS
    scene.examine(soonest_repeat=SOONEST_REPEAT)
