"""Access of a client to a service: TLS and credentials."""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from rt_predictor.errors import UsageError

ChannelOptions = tuple[tuple[str, int | str], ...]


@dataclass(frozen=True)
class Access:
    """TLS and a bearer token; without either, plain text without credentials.

    Files of certificates and keys are PEM. Naming any of them asks for TLS. A token goes without
    TLS to this machine alone.
    """

    tls: bool = False
    """TLS with the certificate authorities that gRPC knows, where `ca` names none"""
    ca: Path | None = None
    """certificates of the authorities that are trusted, instead of those"""
    certificate: Path | None = None
    """the client's own certificate with its chain, for services that ask for one"""
    key: Path | None = None
    """its private key"""
    server_name: str = ""
    """name to look for in the service's certificate; empty: the host of the target"""

    token: str = field(default="", repr=False)
    token_file: Path | None = None
    """file that holds the token instead; read again for each call, so that it may be renewed"""
    plain_text_token: bool = False
    """send the token without TLS to other machines too, e.g. where a proxy does TLS"""

    @property
    def encrypted(self) -> bool:
        """Return whether connections use TLS."""
        return self.tls or any((self.ca, self.certificate, self.key, self.server_name))

    def channel(self, target: str, options: ChannelOptions = ()) -> grpc.aio.Channel:
        """A connection to "host:port".

        Raises UsageError for files that cannot be used, and where a token would travel in plain
        text.
        """
        self._check_token(target)
        if _is_this_machine(target):  # no proxy of the environment leads there
            options += (("grpc.enable_http_proxy", 0),)
        if not self.encrypted:
            return grpc.aio.insecure_channel(target, options=options)
        if (self.certificate is None) != (self.key is None):
            raise UsageError("the client's certificate and its key go together: give both")
        credentials = grpc.ssl_channel_credentials(
            _content(self.ca), _content(self.key), _content(self.certificate)
        )
        if self.server_name:
            options += (("grpc.ssl_target_name_override", self.server_name),)
        return grpc.aio.secure_channel(target, credentials, options=options)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return the metadata of each call. Raises UsageError where the token's file cannot be
        read."""
        token = self.token
        if self.token_file is not None:
            try:
                token = self.token_file.read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"{self.token_file} holds no token: {error}") from error
        if not token:
            return ()
        if not (token.isascii() and token.isprintable()):
            raise UsageError("the token has characters that no token has: was it copied whole?")
        return (("authorization", f"Bearer {token}"),)

    def _check_token(self, target: str) -> None:
        if not self.metadata() or self.encrypted or self.plain_text_token:
            return
        if not _is_this_machine(target):
            raise UsageError(
                f"the token would travel to {target} in plain text: use TLS (--tls or --ca)"
            )


PLAIN = Access()
"""Plain text, from nobody in particular."""


_TROUBLES = (
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is of no authority that is trusted: check --ca"),
    ("Hostname Verification", "its certificate is for another name: check --server-name"),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS: ask without"),
    ("handshake failed", "the TLS handshake failed"),
    ("Socket closed", "it hung up: it may want TLS, or a certificate of yours"),
)


def trouble_of(details: str) -> str | None:
    """Return the TLS problem behind a failed connection, in words; None where it is another one."""
    return next((words for sign, words in _TROUBLES if sign in details), None)


def _is_this_machine(target: str) -> bool:
    host = target.rpartition(":")[0].strip("[]") or target
    if target.startswith("unix:") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _content(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    if b"-----BEGIN " not in content:
        # gRPC would say no more than that it cannot connect.
        raise UsageError(f"{path} is not a PEM file: it holds no -----BEGIN line")
    return content
