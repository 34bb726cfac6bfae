"""Certificate authorities, certificates and TLS servers for tests."""

import ipaddress
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


class Authority:
    """A certificate authority whose own certificate stands in `bundle`, a file in `folder`."""

    def __init__(self, folder: Path, name="Test CA"):
        self.folder = folder
        self.name = name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._signed(
            name, self.key, self.key, x509.BasicConstraints(ca=True, path_length=None)
        )
        self.bundle = folder / f"{name}.pem"
        self.bundle.write_bytes(_pem(self.certificate))

    def issue(self, host="localhost", *, begins=-1, ends=1, self_signed=False):
        """Return the path of a new certificate for `host`, with its key; `begins`, `ends`: days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = x509.BasicConstraints(ca=False, path_length=None)
        certificate = self._signed(
            host, key, key if self_signed else self.key, leaf, begins=begins, ends=ends,
            issuer=host if self_signed else self.name,
        )  # fmt: skip
        path = self.folder / f"{host}-{certificate.serial_number}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(private + _pem(certificate))
        return path

    def _signed(self, subject, key, signing_key, constraints, *, begins=-1, ends=1, issuer=None):
        now = datetime.now(timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name(issuer or subject))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=begins))
            .not_valid_after(now + timedelta(days=ends))
            .add_extension(constraints, critical=True)
        )
        if not constraints.ca:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_alternative(subject)]), critical=False
            )
        return builder.sign(signing_key, hashes.SHA256())


def _alternative(host):
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


class TlsServer:
    """Answers every request with 200, keeping the connection, and notes what each client says of the name."""

    def __init__(self, certificate, *, highest=None):
        self.names = []
        """SNI of each handshake."""
        self.requests = []
        """The head of each request."""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        self.context.sni_callback = lambda connection, name, context: self.names.append(name)
        if highest is not None:
            self.context.minimum_version = highest
            self.context.maximum_version = highest
            self.context.set_ciphers("ALL:@SECLEVEL=0")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, suppress(OSError), self.context.wrap_socket(connection, server_side=True) as tls:
            while head := _head(tls):
                self.requests.append(head)
                tls.sendall(OK)


def _head(connection):
    """Read one request and return its head; the body is as long as its length says."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    missing = int(fields.get(b"content-length", 0)) - len(body)
    while missing > 0:
        missing -= len(connection.recv(missing))
    return head


@contextmanager
def tls_server(certificate, **options):
    server = TlsServer(certificate, **options)
    try:
        yield server
    finally:
        server.listener.shutdown(socket.SHUT_RDWR)
        server.listener.close()
