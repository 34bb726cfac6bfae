"""What a contender is asked to measure, and what it measured: values that pass between processes as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, kw_only=True)
class Assignment:
    receiver: str
    """The URL that is called."""
    processes: int
    """How many worker processes send."""
    webhooks: int
    """How many webhooks own the deliveries."""
    warm_up: int
    """Deliveries before the clock starts: a process's start and first connections are nobody's rate."""
    deliveries: int
    """Deliveries that are timed."""
    events: int = 0
    """Events whose way from emit to the receiver is timed at low load; then nothing else is measured."""
    watched: Mapping[str, int] = field(default_factory=dict)
    """Processes beside the workers whose processor time is read, by name: database, broker, receiver."""
    statements: str = ""
    """The file whose size is the number of SQL statements."""

    def dumped(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def loaded(cls, text: str) -> Assignment:
        return cls(**json.loads(text))


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was measured. What a contender does not have is None, or missing in `processor`."""

    rate: float | None = None
    """Deliveries per second."""
    processor: Mapping[str, float] = field(default_factory=dict)
    """Microseconds of processor time per delivery, by group of processes."""
    statements: float | None = None
    """SQL statements per delivery."""
    memory: int | None = None
    """The most bytes that one worker process held."""
    latencies: list[float] = field(default_factory=list)
    """Milliseconds from emit to the receiver."""

    def dumped(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def loaded(cls, text: str) -> Figures:
        return cls(**json.loads(text))
