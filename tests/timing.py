"""Bounds in time that hold on a busy machine and still fail when the rule behind them is gone."""

import time

TRIES = 5
# What is later than this was not held up by another process: it is late for a reason of its own. Seconds.
HELD_UP = 3


def at_some_try(check):
    """Run `check` until it holds, a few times at most: another process may have taken the processor."""
    for _ in range(TRIES - 1):
        try:
            return check()
        except AssertionError:
            continue
    return check()


def ends_after(seconds, call, slack=0.2):
    """Have `call` end never before `seconds`, and at some try no more than `slack` after them.

    `call` must be harmless to repeat.
    """
    for _ in range(TRIES):
        started = time.monotonic()
        call()
        late = time.monotonic() - started - seconds
        assert 0 <= late < HELD_UP, f"it ended {late:.3f} s after its time"
        if late < slack:
            return
    raise AssertionError(f"it ended more than {slack} s after its time, {TRIES} times")
