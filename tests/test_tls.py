"""TLS as receivers speak it, on real sockets: whom the transport trusts, and what it says of whom it does not."""

import logging
import multiprocessing
import os
import socket
import ssl
import stat
from pathlib import Path

import certifi
import pytest
import requests

from tests.certificates import Authority, tls_server
from webhooks.addresses import AddressPolicy
from webhooks.exceptions import SendError
from webhooks.transport import Bounds, CurlAdapter
from webhooks.transport.tls import tls_problem, trusted_file


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def bounds(**changes):
    values = {
        "policy": AddressPolicy.parse(["127.0.0.0/8", "::1/128"]),
        "connect_timeout": 2,
        "timeout": 3,
        "body_limit": 1000,
        "headers_limit": 8192,
        "concurrency": 8,
    }
    return Bounds(**{**values, **changes})


def post(port, host="localhost", **changes):
    adapter = CurlAdapter(bounds(**changes))
    try:
        url = f"https://{host}:{port}/hook?a=b"
        return adapter.send(requests.Request("POST", url, data=b"{}").prepare())
    finally:
        adapter.close()


def refusal(port, host="localhost", **changes):
    with pytest.raises(SendError) as caught:
        post(port, host, **changes)
    assert caught.value.kind == "tls"
    return str(caught.value)


def test_an_authority_of_ones_own_is_trusted_with_the_bundle_and_not_without(authority):
    with tls_server(authority.issue()) as server:
        assert post(server.port, ca_bundle=str(authority.bundle)).status_code == 200
        assert "is not trusted" in refusal(server.port)
        assert len(server.requests) == 1


def test_sni_and_host_carry_the_name(authority):
    with tls_server(authority.issue()) as server:
        post(server.port, ca_bundle=str(authority.bundle))
        assert server.names == ["localhost"]
        assert f"Host: localhost:{server.port}".encode() in server.requests[0].split(b"\r\n")


def test_a_certificate_for_an_address_is_accepted_for_that_address(authority):
    with tls_server(authority.issue("127.0.0.1")) as server:
        assert post(server.port, "127.0.0.1", ca_bundle=str(authority.bundle)).status_code == 200


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"host": "other.example"}, "for another host name"),
        ({"begins": -3, "ends": -1}, "has expired"),
        ({"begins": 1, "ends": 3}, "is not valid yet"),
        ({"self_signed": True}, "is not trusted: it is self-signed"),
    ],
)
def test_a_certificate_that_proves_nothing_is_refused_with_its_own_sentence(authority, options, words):
    with tls_server(authority.issue(**options)) as server:
        assert words in refusal(server.port, ca_bundle=str(authority.bundle))
        assert server.requests == []


def test_a_certificate_of_an_unknown_authority_is_refused(authority, tmp_path):
    other = Authority(tmp_path, "Other CA")
    with tls_server(other.issue()) as server:
        assert "is not trusted" in refusal(server.port, ca_bundle=str(authority.bundle))


@pytest.mark.parametrize("verdict", [9, 10, 18, 19, 20, 21, 0, 1, 7])
def test_every_verdict_has_a_sentence(verdict):
    assert tls_problem(60, verdict).endswith(".")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
def test_tls_below_1_2_is_refused(authority):
    with tls_server(authority.issue(), highest=ssl.TLSVersion.TLSv1_1) as server:
        assert _speaks_tls_1_1(server.port)
        assert "TLS 1.2 or newer" in refusal(server.port, ca_bundle=str(authority.bundle))
        assert server.requests == []
    with tls_server(authority.issue(), highest=ssl.TLSVersion.TLSv1_2) as server:
        assert post(server.port, ca_bundle=str(authority.bundle)).status_code == 200


def _speaks_tls_1_1(port):
    """Whether the server would serve a client that accepts TLS 1.1: else its refusal would prove nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain) as tls:
        return tls.version() == "TLSv1.1"


def test_the_bundle_is_beside_the_public_authorities_in_a_private_file(authority):
    combined = Path(trusted_file(str(authority.bundle)))
    assert stat.S_IMODE(combined.stat().st_mode) == 0o600
    assert combined.read_bytes().startswith(Path(certifi.where()).read_bytes())
    assert authority.bundle.read_bytes() in combined.read_bytes()
    assert trusted_file(str(authority.bundle)) == str(combined)
    assert trusted_file(None) == certifi.where()


def test_a_bundle_that_changes_is_read_again(authority, tmp_path):
    other = Authority(tmp_path, "Other CA")
    bundle = str(authority.bundle)
    adapter = CurlAdapter(bounds(ca_bundle=bundle))
    with tls_server(other.issue()) as server:
        request = requests.Request("POST", f"https://localhost:{server.port}/", data=b"{}").prepare()
        with pytest.raises(SendError, match="is not trusted"):
            adapter.send(request)
        authority.bundle.write_bytes(authority.bundle.read_bytes() + other.bundle.read_bytes())
        assert adapter.send(request).status_code == 200
    adapter.close()


@pytest.mark.parametrize("damage", ["removed", "emptied", "cut"])
def test_a_bundle_that_cannot_be_read_counts_as_it_last_was_and_is_logged_once(authority, caplog, damage):
    bundle = str(authority.bundle)
    good = authority.bundle.read_bytes()
    with tls_server(authority.issue()) as server, caplog.at_level(logging.ERROR, "webhooks"):
        assert post(server.port, ca_bundle=bundle).status_code == 200
        if damage == "removed":
            authority.bundle.unlink()
        else:
            authority.bundle.write_bytes(b"" if damage == "emptied" else good[:100])
        for _ in range(3):
            assert post(server.port, ca_bundle=bundle).status_code == 200
        assert len(caplog.records) == 1
        assert "CA_BUNDLE" in caplog.text
        authority.bundle.write_bytes(good)
        assert post(server.port, ca_bundle=bundle).status_code == 200


def test_without_a_readable_bundle_the_public_authorities_remain(tmp_path, caplog):
    assert trusted_file(str(tmp_path / "none.pem")) == certifi.where()
    assert len(caplog.records) == 1


def test_a_combined_file_that_somebody_removed_is_made_again(authority):
    combined = Path(trusted_file(str(authority.bundle)))
    combined.unlink()
    assert Path(trusted_file(str(authority.bundle))).exists()


def _send_in_a_child(port, bundle, pipe):
    response = post(port, ca_bundle=bundle)
    pipe.send((response.status_code, trusted_file(bundle)))


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_each_process_makes_its_own_file_and_removes_it_at_its_end(authority, method):
    ours = trusted_file(str(authority.bundle))
    context = multiprocessing.get_context(method)
    receiving, sending = context.Pipe(duplex=False)
    with tls_server(authority.issue()) as server:
        child = context.Process(target=_send_in_a_child, args=(server.port, str(authority.bundle), sending))
        child.start()
        assert receiving.poll(30)
        status, theirs = receiving.recv()
        child.join(30)
    assert (status, child.exitcode) == (200, 0)
    assert theirs != ours
    assert not os.path.exists(theirs)
    assert os.path.exists(ours)
