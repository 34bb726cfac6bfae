"""The oracle: what the receiver saw against what the database says. Pure.

A request that no attempt records is explained by nothing but the death of the process that sent it, before the
delivery was sent again.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

# How much later than it was sent the receiver, on a busy machine, may note a request; seconds.
NOTED_LATE = 2


@dataclass(frozen=True)
class Request:
    """One request, as the receiver saw it."""

    at: float
    """A reading of the monotonic clock."""
    delivery: int
    attempt: int
    """Its number, as the request's header says it."""
    event: str
    digest: str
    """SHA-256 of the body."""
    signature: str
    sender: int | None
    """The pid of the process that sent it; None: it was gone before it could be asked for."""


@dataclass(frozen=True)
class Kill:
    at: float
    pid: int


@dataclass(frozen=True)
class Attempt:
    number: int
    digest: str
    result: str = ""
    """The status or the kind of error, to be told."""


@dataclass(frozen=True)
class Delivery:
    """One delivery, as the database has it in the end."""

    id: int
    event: str
    status: str
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True)
class Finding:
    deliveries: int
    requests: int
    repeated: int
    """Requests that no attempt records, each explained by a kill."""
    violations: tuple[str, ...]


def examine(requests, kills, deliveries, *, soonest_repeat=0.0):
    """Return a Finding. `soonest_repeat`: seconds that a lease keeps an unrecorded request from being sent again."""
    by_delivery = {}
    for request in sorted(requests, key=lambda request: request.at):
        by_delivery.setdefault(request.delivery, []).append(request)
    deaths = {kill.pid: kill.at for kill in kills}
    violations, repeated = [], 0
    for delivery in deliveries:
        seen = by_delivery.pop(delivery.id, [])
        violations += _loss(delivery, seen)
        violations += _changes(delivery, seen)
        unrecorded, unexplained = _repeats(delivery, seen, deaths, soonest_repeat)
        violations += unexplained
        repeated += unrecorded
    violations += [f"delivery {number}: nobody owes it" for number in by_delivery]
    return Finding(len(deliveries), len(requests), repeated, tuple(violations))


def _loss(delivery, seen):
    if delivery.status != "succeeded":
        yield f"delivery {delivery.id}: ended or stayed as {delivery.status}"
    if not seen:
        yield f"delivery {delivery.id}: never received"


def _changes(delivery, seen):
    """Yield a sentence if not every request of the delivery carried the same event, bytes and signature."""
    sent = {(request.event, request.digest, request.signature) for request in seen}
    recorded = {attempt.digest for attempt in delivery.attempts}
    if len(sent) > 1 or {event for event, _, _ in sent} - {delivery.event}:
        yield f"delivery {delivery.id}: its requests differ"
    if recorded - {digest for _, digest, _ in sent}:
        yield f"delivery {delivery.id}: what is recorded is not what was received"


def _repeats(delivery, seen, deaths, soonest_repeat):
    """Return how many requests are unrecorded, and a sentence for each attempt for which kills do not explain it."""
    sent = Counter(request.attempt for request in seen)
    recorded = Counter(attempt.number for attempt in delivery.attempts)
    explained = Counter()
    for request, following in pairwise([*seen, None]):
        if _died_of_it(request, following, deaths, soonest_repeat):
            explained[request.attempt] += 1
    unrecorded, violations = 0, []
    for number in sorted(sent | recorded):
        excess = sent[number] - recorded[number]
        unrecorded += max(excess, 0)
        if not 0 <= excess <= explained[number]:
            violations.append(
                f"delivery {delivery.id}, attempt {number}: received {sent[number]} times, recorded "
                f"{recorded[number]} times, explained by {explained[number]} kills ({_story(delivery, seen, deaths)})"
            )
    return unrecorded, violations


def _story(delivery, seen, deaths):
    requests = [
        f"{one.at:.2f} attempt {one.attempt} by {one.sender}"
        + (f", killed at {deaths[one.sender]:.2f}" if one.sender in deaths else "")
        for one in seen
    ]
    return "; ".join([*requests, *(f"recorded {one.number}: {one.result}" for one in delivery.attempts)])


def _died_of_it(request, following, deaths, soonest_repeat):
    """Whether the sender was killed after it had sent this and before anybody sent the delivery again."""
    if following is not None and following.at - request.at < soonest_repeat - NOTED_LATE:
        return False
    earliest, latest = request.at - NOTED_LATE, float("inf") if following is None else following.at
    if request.sender is not None:
        return earliest <= deaths.get(request.sender, float("-inf")) <= latest
    return any(abs(at - request.at) <= NOTED_LATE for at in deaths.values())
