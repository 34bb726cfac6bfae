"""The project's settings, in a process whose host's clock is wrong by as many seconds as a file says.

libfaketime cannot do it: it makes sleeping by the monotonic clock, as Python does, an error. So what can be asked
for the time of day is replaced here, before anything has asked: `time.time`, Django's `timezone.now` and SQLite's
`strftime`. PostgreSQL's clock is another host's, and the monotonic one goes on as it is.
"""

import datetime as dt
import os
import time
from pathlib import Path

from django.db.backends.signals import connection_created
from django.utils import timezone

from project.settings import *  # noqa: F403

_offset = Path(os.environ["CLOCK_OFFSET"])
_right_time = time.time


def _time():
    return _right_time() + int(_offset.read_text())


def _now():
    return dt.datetime.fromtimestamp(_time(), tz=dt.timezone.utc)


def _strftime(layout, moment):
    """The only layout that Django and the app ask for, with milliseconds, of the present moment."""
    assert (layout, moment.lower()) == ("%Y-%m-%d %H:%M:%f", "now")
    return _now().strftime(layout.replace("%f", "%S.%f"))[:-3]


def _replace_strftime(connection, **_):
    if connection.vendor == "sqlite":
        connection.connection.create_function("strftime", 2, _strftime)


time.time = _time
timezone.now = _now
connection_created.connect(_replace_strftime)
