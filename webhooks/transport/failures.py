"""libcurl's codes → our kinds of error, and the sentence that is recorded with each."""

from __future__ import annotations

from collections.abc import Mapping

import pycurl
import requests

from ..exceptions import SendError, SendTimeout

_TLS_ERRORS = frozenset((35, 51, 53, 54, 58, 59, 60, 64, 66, 77, 80, 82, 83, 90, 91, 98))
_KINDS: Mapping[int, str] = {
    pycurl.E_COULDNT_RESOLVE_HOST: "dns",
    pycurl.E_ABORTED_BY_CALLBACK: "dns",  # libcurl would have looked the name up itself
    pycurl.E_COULDNT_CONNECT: "connect",
    pycurl.E_OPERATION_TIMEDOUT: "timeout",
    pycurl.E_PARTIAL_FILE: "reset",
    pycurl.E_GOT_NOTHING: "reset",
    pycurl.E_SEND_ERROR: "reset",
    pycurl.E_RECV_ERROR: "reset",
    **dict.fromkeys(_TLS_ERRORS, "tls"),
}
# libcurl's own texts name addresses; these do not.
_MESSAGES = {
    "dns": "The host name could not be resolved.",
    "refused_address": "The host name leads to an address that webhooks may not call.",
    "refused_port": "Webhooks are not sent to this port.",
    "bad_url": "Webhooks are not sent to URLs of this kind.",
    "egress_proxy": "The egress proxy could not be reached.",
    "connect": "No connection could be opened.",
    "timeout": "The receiver did not answer in time.",
    "reset": "The connection was closed before the response was complete.",
    "bad_request": "The request could not be sent as it is.",
    "bad_response": "The answer was not a valid HTTP response.",
}


def kind_of(code: int) -> str:
    """Return the kind of error that a code of libcurl (CURLcode) stands for."""
    return _KINDS.get(code, "bad_response")


def failure(kind: str, request: requests.PreparedRequest, message: str | None = None) -> SendError:
    """Return the error of this kind, as it is raised and recorded; `message`: a closer one than the kind's own."""
    error = SendTimeout if kind == "timeout" else SendError
    return error(kind, _MESSAGES[kind] if message is None else message, request=request)
