"""A network of the test's own, in which every address is this machine: nothing can leave, and packets are counted."""

import ctypes
import os
import subprocess
from contextlib import contextmanager

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Network:
    def packets(self):
        """Return how many packets were sent in this network so far."""
        with open("/proc/thread-self/net/dev") as table:
            for line in table:
                name, _, counters = line.partition(":")
                if name.strip() == "lo":
                    return int(counters.split()[9])
        raise AssertionError("the network has no loopback device")


@contextmanager
def own_network(*, ipv6=()):
    """Put the calling thread, and threads that it starts, into a new network. Raises OSError where that is not allowed.

    Whatever IPv4 address is dialled there leads to this machine, where a server on 0.0.0.0 answers; of IPv6
    those in `ipv6` and all others do too, but a server can only have one of `ipv6`.
    """
    with open("/proc/thread-self/ns/net") as home:
        _check(_libc.unshare(_CLONE_NEWNET))
        try:
            _ip("link", "set", "lo", "up")
            _ip("route", "add", "local", "0.0.0.0/0", "dev", "lo")
            _ip("-6", "route", "add", "local", "::/0", "dev", "lo")
            for address in ipv6:
                _ip("-6", "addr", "add", f"{address}/128", "dev", "lo", "nodad")
            yield Network()
        finally:
            _check(_libc.setns(home.fileno(), _CLONE_NEWNET))


def _check(result):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
