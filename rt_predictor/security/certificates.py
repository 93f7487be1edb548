"""Certificates: read, tried, and read again when their files are renewed.

Files are tried before they are used: a TLS handshake in memory finds a key that does not belong to
its certificate, and a certificate that has expired or is not meant for servers.
"""

import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from loguru import logger

from rt_predictor.errors import CertificateError

SERVER = "server"
CLIENT_CA = "client_ca"
"""The certificates that have a date of expiry, as metrics name them."""

_CERTIFICATE_SETTING = "security.certificate"
_KEY_SETTING = "security.key"
_CLIENT_CA_SETTING = "security.client_ca"
_HANDSHAKE_TURNS = 8
"""More than any handshake of TLS 1.3 takes."""


@dataclass(frozen=True)
class CertificateFiles:
    """PEM files: the chain of the server, its key, and whose certificates clients must show."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def paths(self) -> Iterator[tuple[str, Path]]:
        """The files that there are, each with its setting."""
        yield _CERTIFICATE_SETTING, self.certificate
        yield _KEY_SETTING, self.key
        if self.client_ca is not None:
            yield _CLIENT_CA_SETTING, self.client_ca


@dataclass(frozen=True)
class Certificates:
    """Contents of the files; they have been tried."""

    chain: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None
    expires_at_s: Mapping[str, float]
    """`SERVER` and, with a client CA, `CLIENT_CA` -> when it expires, in Unix s."""


def read_certificates(files: CertificateFiles) -> Certificates:
    """Read and try the files. Raises CertificateError."""
    content = _read(files)
    expires_at_s = {SERVER: _server_expiry_s(files)}
    if files.client_ca is not None:
        expires_at_s[CLIENT_CA] = _client_ca_expiry_s(files.client_ca)
    if _read(files) != content:
        # A certificate of one time with a key of another would be served.
        raise CertificateError(f"{files.certificate}: the files changed while they were read")
    return Certificates(
        content[_CERTIFICATE_SETTING],
        content[_KEY_SETTING],
        content.get(_CLIENT_CA_SETTING),
        expires_at_s,
    )


class CertificateWatch:
    """Certificates that follow their files; a bad renewed file leaves the old ones in use."""

    def __init__(self, files: CertificateFiles) -> None:
        """Read the files. Raises CertificateError."""
        self.files = files
        self.problem = ""
        """Why the files, as they are now, are not in use."""
        self._looking = Lock()
        self._stamp = _stamp(files)
        self.current = read_certificates(files)

    def look(self) -> None:
        """Read the files again if they have changed, on any thread. Blocks on the disk."""
        with self._looking:
            self._look()

    def _look(self) -> None:
        stamp = _stamp(self.files)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self.current = read_certificates(self.files)
        except CertificateError as error:
            self.problem = str(error)
            logger.error("renewed certificate not usable: the old one stays", problem=self.problem)
            return
        self.problem = ""
        logger.info("certificate renewed", expires_at_s=self.current.expires_at_s[SERVER])


def server_context(files: CertificateFiles) -> ssl.SSLContext:
    """A context of Python's own TLS for a server with that certificate. Raises CertificateError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_chain(context, files)
    return context


def load_chain(context: ssl.SSLContext, files: CertificateFiles) -> None:
    """Has a context show that certificate from now on. Raises CertificateError."""
    try:
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise CertificateError(
                f"{files.key} ({_KEY_SETTING}) is not the key of {files.certificate} "
                f"({_CERTIFICATE_SETTING}): give the two that were made together"
            ) from error
        raise CertificateError(
            f"{files.key} ({_KEY_SETTING}) holds no private key in PEM form: give one without a "
            "password"
        ) from error


def _no_password() -> str:
    """OpenSSL would ask on the terminal."""
    return ""


def _read(files: CertificateFiles) -> dict[str, bytes]:
    content = {}
    for setting, path in files.paths():
        try:
            content[setting] = path.read_bytes()
        except OSError as error:
            raise CertificateError(
                f"{path} ({setting}) cannot be read: {error.strerror or error}"
            ) from error
    return content


def _stamp(files: CertificateFiles) -> tuple[tuple[int, int, int] | None, ...]:
    """Return a value that changes when a file does; a link to another file is a change too."""
    return tuple(_stamp_of(path) for _, path in files.paths())


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _server_expiry_s(files: CertificateFiles) -> float:
    """Show the certificate to a client that trusts it alone; when it says that it expires."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    # The certificate itself is trusted, whoever has signed it.
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    _trust(client, files.certificate, _CERTIFICATE_SETTING)
    server = server_context(files)
    try:
        shown = _handshake(server, client)
    except ssl.SSLCertVerificationError as error:
        raise CertificateError(
            f"{files.certificate} ({_CERTIFICATE_SETTING}) would be refused by clients: "
            f"{error.verify_message}; renew it"
        ) from error
    except ssl.SSLError as error:
        raise CertificateError(
            f"{files.certificate} ({_CERTIFICATE_SETTING}) does not work: {error.reason}"
        ) from error
    return ssl.cert_time_to_seconds(shown["notAfter"])


def _client_ca_expiry_s(path: Path) -> float:
    """Return the first expiry among valid CA certificates: a file may hold old and new ones."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _trust(context, path, _CLIENT_CA_SETTING)
    ends_s = [ssl.cert_time_to_seconds(str(ca["notAfter"])) for ca in context.get_ca_certs()]
    if not ends_s:
        raise CertificateError(f"{path} ({_CLIENT_CA_SETTING}) holds no certificate of a CA")
    now_s = time.time()
    if max(ends_s) <= now_s:
        raise CertificateError(f"{path} ({_CLIENT_CA_SETTING}) has expired: give a newer one")
    return min(end_s for end_s in ends_s if end_s > now_s)


def _trust(context: ssl.SSLContext, path: Path, setting: str) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        raise CertificateError(f"{path} ({setting}) holds no certificate in PEM form") from error
    except OSError as error:
        raise CertificateError(
            f"{path} ({setting}) cannot be read: {error.strerror or error}"
        ) from error


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> dict[str, Any]:
    """A handshake of the two in memory. Returns what the client sees; raises SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server)
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    for turn in range(_HANDSHAKE_TURNS):
        side = answering if turn % 2 else asking
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return dict(asking.getpeercert() or {})
