"""Workers killed at random moments: nothing is lost, and whatever is sent twice was being sent when its sender died."""

import time
from datetime import timedelta

from tests.processes import descendants, wait_for
from webhooks import queue

from . import workers
from .workers import BUDGET, CLUSTER, DELIVER, LEASE, SOONEST_REPEAT

# With the other test of this module: fifty kills over 5,000 deliveries, on each database.
KILLS = 25
DELIVERIES = 2500
# One of so many kills of a cluster ends all of its processes, the others a worker that sends.
ONE_OF = 5


def test_two_delivering_processes_are_killed(scene, rng, database_url, notified):
    units = scene.fleet.start(DELIVER, workers.environment(database_url, DELIVER), number=2)
    for _ in range(KILLS):
        started = time.monotonic()
        scene.emit(DELIVERIES // KILLS)
        wait_for(lambda since=started: scene.receiver.active(since), 30, "a request of a victim")
        time.sleep(rng.uniform(0, 0.2))
        active = scene.receiver.active(started)
        rng.choice([unit for unit in units if unit.process.pid in active]).restart()
    scene.wait_delivered(3 * LEASE)
    assert len(scene.fleet.kills) == KILLS
    assert scene.examine(soonest_repeat=SOONEST_REPEAT).repeated


def test_a_cluster_and_its_workers_are_killed(scene, rng, database_url):
    [unit] = scene.fleet.start(CLUSTER, workers.environment(database_url, CLUSTER))
    hangs = []
    scene.watchdog = lambda: hangs.append(unit.restart()) if is_hung() else None

    def victims():
        return scene.receiver.active(started) & set(descendants(unit.process.pid))

    for number in range(KILLS):
        started = time.monotonic()
        scene.emit(DELIVERIES // KILLS)
        scene.wait_tended(victims, 30, "a request of a victim")
        time.sleep(rng.uniform(0, 0.2))
        if number % ONE_OF:
            # A worker ends by itself, too, and another takes its place.
            while not (sending := sorted(victims())):
                scene.emit(1)
                scene.wait_tended(victims, 30, "a request of another victim")
            unit.kill(rng.choice(sending))
        else:
            unit.restart()
    scene.wait_delivered(3 * LEASE)
    scene.say(f"restarted {len(hangs)} times because the workers hung")
    assert scene.examine(soonest_repeat=SOONEST_REPEAT).repeated


def is_hung():
    """What the watchdog asks each minute: `webhooks health --max-lag`."""
    return queue.lag() > timedelta(seconds=BUDGET + 2)
