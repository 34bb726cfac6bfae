"""Durations as people write them: "5s, 1m, 2h" ↔ seconds. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([smhd]?)")


def seconds(text: str) -> list[float]:
    """Return the durations of a text, separated by commas. A number without a unit is in seconds.

    Raises ValueError, with a sentence, for what is none.
    """
    return [_seconds(part.strip()) for part in text.split(",")]


def text(durations: Iterable[float]) -> str:
    """Return durations as `seconds` reads them, each in the largest unit that divides it."""
    return ", ".join(map(_text, durations))


def _seconds(text: str) -> float:
    match = _DURATION.fullmatch(text.lower())
    if match is None:
        raise ValueError("Write durations such as 30s, 5m, 2h or 1d, with commas between them.")
    number, unit = match.groups()
    value = float(number) * UNITS[unit or "s"]
    return int(value) if value.is_integer() else value


def _text(duration: float) -> str:
    for unit, size in reversed(UNITS.items()):
        if duration >= size and duration % size == 0:
            return f"{int(duration // size)}{unit}"
    return f"{duration:.6f}".rstrip("0").rstrip(".") + "s"
