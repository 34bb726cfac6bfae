"""Workers killed at random moments: nothing is lost, and whatever is sent twice was being sent when its sender died."""

import time

from tests.processes import wait_for

from . import workers
from .scene import restart_if_hung
from .workers import CLUSTER, DELIVER, LEASE, SOONEST_REPEAT

KILLS = 50
DELIVERIES = 5000
# One of so many kills of a cluster ends all of its processes, the others a worker that sends.
ONE_OF = 4


def test_two_delivering_processes_killed_fifty_times(scene, rng, database_url, notified):
    units = scene.fleet.start(DELIVER, workers.environment(database_url, DELIVER), number=2)
    for _ in range(KILLS):
        started = time.monotonic()
        scene.emit(DELIVERIES // KILLS)
        wait_for(lambda since=started: scene.receiver.active(since), 30, "a request of a victim")
        time.sleep(rng.uniform(0, 0.3))
        active = scene.receiver.active(started)
        rng.choice([unit for unit in units if unit.process.pid in active]).restart()
    scene.wait_delivered(3 * LEASE)
    assert len(scene.fleet.kills) == KILLS
    assert scene.examine(soonest_repeat=SOONEST_REPEAT).repeated


def test_a_cluster_and_its_workers_killed_fifty_times(scene, rng, database_url):
    [unit] = scene.fleet.start(CLUSTER, workers.environment(database_url, CLUSTER))
    hangs = 0

    def victims():
        nonlocal hangs
        scene.sweep(every=1)
        hangs += restart_if_hung(unit)
        return scene.receiver.active(started) & set(unit.pids())

    for number in range(KILLS):
        started = time.monotonic()
        scene.emit(DELIVERIES // KILLS)
        wait_for(victims, 30, "a request of a victim")
        time.sleep(rng.uniform(0, 0.3))
        if number % ONE_OF:
            unit.kill(rng.choice(sorted(victims())))
        else:
            unit.restart()
    scene.wait_delivered(3 * LEASE, meanwhile=lambda: restart_if_hung(unit))
    scene.say(f"restarted {hangs} times because the workers hung")
    assert scene.examine(soonest_repeat=SOONEST_REPEAT).repeated
