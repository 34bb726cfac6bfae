"""What people do: each action is a change of state, its audit row, and a wake-up.

`by` is the user who asked, or None for a command or the machine: then a log line stands in for the audit row.
`via` is the way by which a person asked, where it is not the admin: "API".
"""

from .deliveries import cancel, redeliver, send_test
from .recovery import INACTIVE, OLDEST, Missed, missed, recover
from .registration import CHANGEABLE, activate, change, create, deactivate, delete, resume
from .rows import CHANGED_SINCE
from .secret import finish_rotation, remove_secret, rotate_secret

__all__ = [
    "CHANGEABLE",
    "CHANGED_SINCE",
    "INACTIVE",
    "OLDEST",
    "Missed",
    "activate",
    "cancel",
    "change",
    "create",
    "deactivate",
    "delete",
    "finish_rotation",
    "missed",
    "recover",
    "redeliver",
    "remove_secret",
    "resume",
    "rotate_secret",
    "send_test",
]
