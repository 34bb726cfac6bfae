"""What an attempt did to its delivery, as it is handed to the queue."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import NamedTuple

from .. import error_kinds
from ..models import Attempt
from ..retry import Outcome


class Verdict(NamedTuple):
    """What an attempt did to its delivery."""

    claim: uuid.UUID
    attempt: Attempt
    outcome: Outcome
    status: str
    ended_because: str
    due_at: datetime | None

    @property
    def is_ours(self) -> bool:
        """Whether the fault was on this side: then neither the delivery nor its webhook is charged with it."""
        return error_kinds.is_ours(self.attempt.error_kind)
