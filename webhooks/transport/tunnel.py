"""The way through the egress proxy: a tunnel for each connection, to an address that we have checked ourselves.

Behind a proxy the socket guard sees only the proxy, and without a tunnel the proxy would read every request.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import pycurl
from django.views.decorators.debug import sensitive_variables

from ..egress import EgressProxy
from .names import in_brackets

# How long the proxy's addresses are used before its name is looked up again; seconds.
KEPT = 30.0

# The proxy's answers by which it says that it did not reach the receiver (RFC 9110 15.6.3 to 15.6.5).
_NOT_REACHED = frozenset((502, 503, 504))


class Gateway:
    """The addresses of the egress proxy. Any of the resolver's threads may ask for them."""

    def __init__(self, proxy: EgressProxy, look_up: Callable[[str], Iterable[tuple[Any, ...]]]) -> None:
        self._proxy = proxy
        self._look_up = look_up
        self._lock = threading.Lock()
        self._addresses: tuple[str, ...] = () if proxy.address is None else (proxy.host,)
        self._kept_until = math.inf if self._addresses else 0.0

    @property
    def is_known(self) -> bool:
        return bool(self._addresses)

    def addresses(self) -> tuple[str, ...]:
        """Return the addresses, IPv6 in brackets, after a look-up if there are none yet; none: it failed.

        Addresses that are known serve until newer ones are: no receiver's request waits for the proxy's name.
        """
        with self._lock:
            if not self._addresses:
                self._refresh()
            elif time.monotonic() >= self._kept_until:
                self._kept_until = time.monotonic() + KEPT
                with suppress(RuntimeError):  # the system has no thread to give
                    threading.Thread(target=self._refresh, name="webhooks-egress-proxy", daemon=True).start()
            return self._addresses

    def _refresh(self) -> None:
        try:
            rows = self._look_up(self._proxy.host)
        except Exception:  # noqa: BLE001  whatever it was, the name did not resolve
            return
        if found := tuple(dict.fromkeys(in_brackets(str(row[4][0])) for row in rows)):
            self._addresses = found
            self._kept_until = time.monotonic() + KEPT


@sensitive_variables()
def use_proxy(curl: Any, proxy: EgressProxy | None) -> None:
    """Set what is the same for every request; None: no proxy, whatever the environment says."""
    curl.setopt(pycurl.NOPROXY, "")
    if proxy is None:
        curl.setopt(pycurl.PROXY, "")
        return
    curl.setopt(pycurl.PROXY, f"http://{proxy.host}:{proxy.port}")
    curl.setopt(pycurl.HTTPPROXYTUNNEL, 1)
    # The request's headers are for the receiver alone, and the proxy's for the proxy.
    curl.setopt(pycurl.HEADEROPT, pycurl.HEADER_SEPARATE)
    if proxy.username or proxy.password:
        curl.setopt(pycurl.PROXYAUTH, pycurl.HTTPAUTH_BASIC)
        curl.setopt(pycurl.PROXYUSERNAME, proxy.username.encode())
        curl.setopt(pycurl.PROXYPASSWORD, proxy.password.encode())


def lead_to(curl: Any, address: str, proxy: EgressProxy, gateway: tuple[str, ...]) -> None:
    """Have the proxy, which stands at the addresses `gateway`, called, and open a tunnel to `address`."""
    if proxy.address is None:
        curl.setopt(pycurl.RESOLVE, [f"+{proxy.host}:{proxy.port}:{','.join(gateway)}"])
    # Two empty fields: for any host and port; the last one, empty too, keeps the port.
    curl.setopt(pycurl.CONNECT_TO, [f"::{address}:"])


def fault_of(code: int, connect_status: int, *, dialled: bool, reached: bool) -> tuple[str, str]:
    """Return the kind and the sentence of a failure on the way to a standing tunnel; both empty: it stood.

    `code`: libcurl's; `connect_status`: the proxy's answer, 0 for none; `dialled`: the connection was new;
    `reached`: to the proxy it was open.
    """
    if 200 <= connect_status <= 299:
        return "", ""
    if connect_status in _NOT_REACHED:
        return "connect", "The egress proxy could not open a connection to the receiver."
    if connect_status:
        return "egress_proxy", f"The egress proxy refused to let the request through ({connect_status})."
    if not dialled and code not in (pycurl.E_COULDNT_RESOLVE_PROXY, pycurl.E_COULDNT_CONNECT):
        return "", ""  # a tunnel that had been kept
    if reached and code == pycurl.E_OPERATION_TIMEDOUT:
        return "timeout", "The egress proxy did not get through to the receiver in time."
    return "egress_proxy", "The egress proxy could not be reached."


def receiver_was_not_reached(connect_status: int) -> bool:
    """Return whether the proxy's answer says that another address may do better."""
    return connect_status in _NOT_REACHED
