"""The kinds of error that an attempt can end with, in words that a person understands. Pure.

The admin and the API explain an attempt with the same two sentences: what happened, and what to do about it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ErrorKind:
    """`explanation` says what happened, `advice` what to do: one sentence each."""

    name: str
    explanation: str
    advice: str
    ours: bool = False
    """The fault is on the sending side: it is not held against the webhook."""


_KINDS = (
    ErrorKind(
        name="dns",
        explanation="The host name of the callback URL could not be resolved.",
        advice="Check the host name for typing errors, and that its DNS record exists and is public.",
    ),
    ErrorKind(
        name="refused_address",
        explanation="The callback URL leads to an address that webhooks may not call.",
        advice="Use a host that has a public address, or ask the operator to allow its network.",
    ),
    ErrorKind(
        name="refused_port",
        explanation="The callback URL names a port that webhooks may not call.",
        advice="Serve the callback on a permitted port, or ask the operator to allow this one.",
    ),
    ErrorKind(
        name="connect",
        explanation="No connection to the receiver could be opened.",
        advice="Check that the server runs, listens on this port, and that its firewall lets requests in.",
    ),
    ErrorKind(
        name="tls",
        explanation="The TLS handshake failed, or the receiver's certificate could not be trusted.",
        advice="Check that the certificate is for this host name, has not expired and comes with its whole chain.",
    ),
    ErrorKind(
        name="timeout",
        explanation="The receiver did not answer in time.",
        advice="Answer at once and do the work afterwards, or raise the webhook's timeout.",
    ),
    ErrorKind(
        name="reset",
        explanation="The connection was closed before the response was complete.",
        advice="Look in the receiver's log for a crash or a restart at this time.",
    ),
    ErrorKind(
        name="bad_response",
        explanation="What came back was not a valid HTTP response.",
        advice="Check that the callback URL leads to a web server, and that no proxy in front of it is broken.",
    ),
    ErrorKind(
        name="http_3xx",
        explanation="The receiver answered with a redirect, and redirects are never followed.",
        advice="Set the callback URL to the address that the Location header names.",
    ),
    ErrorKind(
        name="http_4xx",
        explanation="The receiver refused the request.",
        advice="Read the response: it usually says what the receiver did not accept.",
    ),
    ErrorKind(
        name="http_5xx",
        explanation="The receiver failed while it handled the request.",
        advice="Look in the receiver's log for an error at this time.",
    ),
    ErrorKind(
        name="bad_url",
        explanation="The callback URL cannot be called as it is.",
        advice="Correct the callback URL, then send the delivery again.",
    ),
    ErrorKind(
        name="bad_request",
        explanation="The request could not be sent as it was built.",
        advice="Check the webhook's method and headers, then send the delivery again.",
    ),
    ErrorKind(
        name="bad_secret",
        explanation="The webhook's secret cannot be used to sign.",
        advice="Rotate the secret: one that begins with whsec_ must go on in base64.",
    ),
    ErrorKind(
        name="encoding",
        explanation="The event could not be written in the webhook's content type.",
        advice="Choose another content type, or ask the operator to mend its encoder.",
        ours=True,
    ),
    ErrorKind(
        name="egress_proxy",
        explanation="The proxy through which webhooks leave could not be used; the receiver was not reached.",
        advice="Nothing is wrong with your webhook: the operator must mend the proxy, and sending goes on by itself.",
        ours=True,
    ),
)
KINDS = {kind.name: kind for kind in _KINDS}

# What is worth saying of one status code beyond its class.
_ADVICE_BY_STATUS = {
    400: "Read the response: the receiver could not make sense of the request.",
    401: "Check the webhook's secret or Authorization: the receiver did not accept them.",
    403: "Check the webhook's secret or Authorization, and any firewall in front of the receiver.",
    404: "Check the path of the callback URL: the receiver knows nothing there.",
    405: "Choose another method: the receiver does not accept this one at this path.",
    410: "Activate the webhook again if the receiver gave this answer by mistake; otherwise delete it.",
    413: "Raise the size of a request that the receiver accepts.",
    415: "Choose another content type: the receiver does not accept this one.",
    429: "Set a rate limit on the webhook, or raise the receiver's own.",
    502: "Check the server behind the receiver's proxy: the proxy got no valid answer from it.",
    503: "Check whether the receiver is overloaded or in maintenance.",
    504: "Check the server behind the receiver's proxy: it did not answer the proxy in time.",
}


def explain(kind: str, status_code: int | None = None) -> ErrorKind | None:
    """Return what is known of an error kind, its advice made closer by the status code; None for an unknown one."""
    found = KINDS.get(kind)
    if found is None or status_code not in _ADVICE_BY_STATUS:
        return found
    return ErrorKind(
        name=found.name,
        explanation=found.explanation,
        advice=_ADVICE_BY_STATUS[status_code],
        ours=found.ours,
    )


def is_ours(kind: str) -> bool:
    """Return whether the fault is on the sending side, so that the webhook must not suffer for it."""
    return kind in KINDS and KINDS[kind].ours
