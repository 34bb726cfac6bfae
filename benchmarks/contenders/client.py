"""What the network allows: requests without any queue, sent by libcurl in one thread, or by wrk.

python -m benchmarks.contenders.client ASSIGNMENT curl
python -m benchmarks.contenders.client ASSIGNMENT wrk PROGRAM
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pycurl

from benchmarks.contenders.assignment import Assignment, Figures
from benchmarks.contenders.queue import compared
from benchmarks.meter import Meter, peak_memory
from benchmarks.stage import PAYLOAD

HANDLES = 64
CONNECTIONS = 32
WRK_SECONDS = 3
BODY = json.dumps(PAYLOAD)


def curl(assignment: Assignment) -> Figures:
    """Send the same request again and again, unsigned, from this process."""
    multi = pycurl.CurlMulti()
    handles = [_handle(assignment.receiver) for _ in range(HANDLES)]
    _send(multi, handles, assignment.warm_up)
    groups = {"workers": [os.getpid()], **{name: [pid] for name, pid in assignment.watched.items()}}
    meter = Meter(groups, Path(assignment.statements))
    first = meter.read()
    _send(multi, handles, assignment.deliveries)
    return compared(first, meter.read(), assignment.deliveries, peak_memory([os.getpid()]))


def _handle(url: str) -> pycurl.Curl:
    handle = pycurl.Curl()
    handle.setopt(pycurl.URL, url)
    handle.setopt(pycurl.POSTFIELDS, BODY)
    handle.setopt(pycurl.HTTPHEADER, ["Content-Type: application/json", "Expect:"])
    handle.setopt(pycurl.WRITEFUNCTION, len)
    handle.setopt(pycurl.NOSIGNAL, 1)
    return handle


def _send(multi: pycurl.CurlMulti, handles: list[pycurl.Curl], count: int) -> None:
    waiting, ended = count, 0
    for handle in handles[:count]:
        multi.add_handle(handle)
        waiting -= 1
    while ended < count:
        multi.perform()
        _, succeeded, failed = multi.info_read()
        assert not failed, failed[0][2]
        for handle in succeeded:
            multi.remove_handle(handle)
            ended += 1
            if waiting:
                multi.add_handle(handle)
                waiting -= 1
        if not succeeded:
            multi.select(0.05)


def wrk(assignment: Assignment, program: str) -> Figures:
    """Let wrk send the same body over a few connections, from two threads."""
    script = Path(assignment.statements).with_name("wrk.lua")
    script.write_text(
        f"wrk.method = 'POST'\nwrk.body = [[{BODY}]]\nwrk.headers['Content-Type'] = 'application/json'\n"
    )
    command = [
        program,
        "-t2",
        f"-c{CONNECTIONS}",
        f"-d{WRK_SECONDS}s",
        "-s",
        str(script),
        assignment.receiver,
    ]
    meter = Meter({name: [pid] for name, pid in assignment.watched.items()}, Path(assignment.statements))
    first, used = meter.read(), os.times().children_user + os.times().children_system
    ended = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    used = os.times().children_user + os.times().children_system - used
    found = re.search(r"(\d+) requests in ([\d.]+)s", ended.stdout)
    assert found, ended.stdout
    assert "Non-2xx" not in ended.stdout, ended.stdout
    count, seconds = int(found[1]), float(found[2])
    beside = compared(first, meter.read(), count, 0)
    return Figures(rate=count / seconds, processor={**beside.processor, "workers": 1e6 * used / count})


if __name__ == "__main__":
    asked = Assignment.loaded(sys.argv[1])
    print((curl(asked) if sys.argv[2] == "curl" else wrk(asked, sys.argv[3])).dumped())
