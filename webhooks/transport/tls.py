"""Whom the transport trusts, and what was wrong with a certificate."""

from __future__ import annotations

import logging
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.util import Finalize
from pathlib import Path

from certifi import where as public_authorities

from ..authorities import read_authorities

logger = logging.getLogger("webhooks")

_VERIFICATION_FAILED = 60  # CURLE_PEER_FAILED_VERIFICATION
_NOT_YET_VALID = 9  # OpenSSL's X509_V_ERR_…
_EXPIRED = 10
_UNTRUSTED = frozenset((18, 19, 20, 21))
# 62 and 64 are OpenSSL's; 0 or 1 (none yet): libcurl compared the name itself, before it asked for a verdict.
_OTHER_NAME = frozenset((0, 1, 62, 64))

_Version = tuple[int, int, int]


@dataclass(frozen=True)
class _Combined:
    """The public authorities and a version of the project's own, in one file of this process."""

    version: _Version | None
    file: str
    former: str | None = None
    """The file before this one, which requests in flight may still be about to read."""


# By process: a file is removed by the process that made it, and a child must not use its parent's.
_combined: dict[tuple[int, str], _Combined] = {}
_reported: set[tuple[int, str]] = set()


def trusted_file(bundle: str | None) -> str:
    """Return the path of a PEM file with the public certificate authorities, and those in the file `bundle`.

    A bundle that has changed is read again. One that cannot be read counts as it last was.
    """
    if bundle is None:
        return public_authorities()
    key = (os.getpid(), bundle)
    last = _combined.get(key)
    try:
        version = _version(bundle)
        if last is None or last.version != version or not os.path.exists(last.file):
            last = _combined[key] = _combine(bundle, version, last)
        _reported.discard(key)
    except (OSError, ValueError) as error:
        if key not in _reported:
            _reported.add(key)
            logger.error("WEBHOOKS['CA_BUNDLE'] cannot be used and counts as it last was: %s", error)
    return last.file if last else public_authorities()


def _version(path: str) -> _Version:
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size, status.st_ino


def _combine(bundle: str, version: _Version, last: _Combined | None) -> _Combined:
    own = read_authorities(bundle)
    descriptor, file = tempfile.mkstemp(prefix="webhooks-authorities-", suffix=".pem")  # mode 0600
    # Runs at the exit of this process alone, of one that multiprocessing started as well: atexit would not.
    Finalize(None, _remove, args=(file,), exitpriority=0)
    with os.fdopen(descriptor, "wb") as combined:
        combined.write(Path(public_authorities()).read_bytes() + b"\n" + own)
    if last is not None and last.former is not None:
        _remove(last.former)
    return _Combined(version, file, last.file if last else None)


def _remove(file: str) -> None:
    with suppress(OSError):
        os.unlink(file)


def tls_problem(code: int, verify_result: int) -> str:
    """Return the sentence for a failed handshake. `code`: libcurl's; `verify_result`: OpenSSL's on the chain."""
    if code != _VERIFICATION_FAILED:
        return "The TLS handshake failed: check that the receiver speaks TLS 1.2 or newer on this port."
    if verify_result == _EXPIRED:
        return "The receiver's certificate, or one in its chain, has expired."
    if verify_result == _NOT_YET_VALID:
        return "The receiver's certificate, or one in its chain, is not valid yet."
    if verify_result in _UNTRUSTED:
        return (
            "The receiver's certificate is not trusted: it is self-signed, comes from an unknown authority, "
            "or comes without its intermediate certificates."
        )
    if verify_result in _OTHER_NAME:
        return "The receiver's certificate is for another host name than the one in the callback URL."
    return "The receiver's certificate could not be verified."
