"""The receiver must know who has sent, or the oracle judges by nothing."""

import subprocess
import sys

from tests.processes import wait_for

from .receiver import receiving

SEND = """
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
headers = {"X-Webhook-Delivery": "7", "X-Webhook-Attempt": "1", "webhook-id": "e", "X-Signature": "s"}
for path in ("/once", "/flaky"):
    connection.request("POST", path, body=b"{}", headers=headers)
    connection.getresponse().read()
sys.stdin.read()
"""


def test_each_request_names_its_sender_and_none_who_is_not_asked_about():
    pids = []
    with receiving(lambda: pids, (0, 0)) as receiver:
        known = sent_by_another_process(receiver, pids.append)
        sent_by_another_process(receiver, lambda pid: None)
        assert [request.sender for request in receiver.requests] == [known, known, None, None]


def sent_by_another_process(receiver, started):
    """Return the pid of a process that has sent two requests over one connection."""
    before = len(receiver.requests)
    command = [sys.executable, "-c", SEND, receiver.url.rpartition(":")[2]]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as sender:
        started(sender.pid)
        wait_for(lambda: len(receiver.requests) == before + 2, 20, "both requests")
        sender.stdin.close()
    return sender.pid
