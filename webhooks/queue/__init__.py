"""The SQL of the queue: who may send what, and what has become of it.

A delivery is in flight while `claim` is set and `due_at`, then the end of the lease, has not passed. Every
statement that ends a claim names it, so a worker whose lease ran out can no longer change anything.

Whoever locks rows of several tables takes deliveries first, then webhooks' states, then webhooks, each in the
order of their ids: so nobody waits for somebody who waits for him.
"""

from .claiming import Claim, claim
from .clock import NextDue, Now, clock_sql, database_now, next_due
from .lag import lag
from .parking import resume_after_commit, unpark, unpark_after_commit
from .recording import Recorded, hand_back, record
from .shares import Share, Slots
from .states import Told, activated, locked_states, remind, resumed
from .verdict import Verdict
from .waking import (
    CHANNEL,
    SWEEP_INTERVAL,
    clear_wake,
    enqueue,
    linger,
    notify_after_commit,
    stop_lingering,
    wake,
    wake_after_commit,
)

__all__ = [
    "CHANNEL",
    "SWEEP_INTERVAL",
    "Claim",
    "NextDue",
    "Now",
    "Recorded",
    "Share",
    "Slots",
    "Told",
    "Verdict",
    "activated",
    "claim",
    "clear_wake",
    "clock_sql",
    "database_now",
    "enqueue",
    "hand_back",
    "lag",
    "linger",
    "locked_states",
    "next_due",
    "notify_after_commit",
    "record",
    "remind",
    "resume_after_commit",
    "resumed",
    "stop_lingering",
    "unpark",
    "unpark_after_commit",
    "wake",
    "wake_after_commit",
]
