"""Settings of who may ask, and over what."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from rt_predictor.jobs.unnamed import Unnamed
from rt_predictor.security.role import Role
from rt_predictor.settings.section import Section

NO_FILE: Any = ""
_HASH = re.compile(r"sha256:[0-9a-f]{64}")


def _path_or_none(value: object) -> object:
    """TOML has no null: an empty text says that there is no file."""
    return None if value == "" else value


def _well_made_hash(value: object) -> object:
    """The value is in no message: somebody may have put the token itself there."""
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise ValueError(
            "must be sha256: and 64 hexadecimal digits, as `rt-predictor token` prints it"
        )
    return value


def _moment(value: object) -> object:
    """A day begins at midnight, and times without a zone are UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("must be a day or a time, e.g. 2027-01-31") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if isinstance(value, datetime) and value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return value


OptionalPath = Annotated[Path | None, BeforeValidator(_path_or_none)]
Moment = Annotated[datetime, BeforeValidator(_moment)]


_TRUSTED = "whether what the client records counts without a bound"


class TokenSettings(Section):
    """One of `security.tokens`: who shows the token with this hash, and what they may do."""

    name: str = Field(min_length=1, pattern="^[^@]", description="whose token it is")
    hash: Annotated[str, BeforeValidator(_well_made_hash)] = Field(
        description="SHA-256 of the token"
    )
    roles: tuple[Role, ...] = Field(min_length=1, description="predict, explain, record, admin")
    expires: Moment | None = Field(None, description="when it stops working; never without")
    trusted: bool = Field(False, description=_TRUSTED)


class CertificateRoleSettings(Section):
    """One of `security.client_certificates`: what a client with a certificate may do."""

    name: str = Field(
        min_length=1, pattern="^[^@]", description="common name or alternative name in it"
    )
    roles: tuple[Role, ...] = Field(min_length=1, description="predict, explain, record, admin")
    trusted: bool = Field(False, description=_TRUSTED)


class SecuritySettings(Section):
    """`[security]`: TLS on the ports, who may ask, and how much."""

    certificate: OptionalPath = Field(
        NO_FILE,
        description="PEM file of the server's certificate, with its chain; empty: no TLS",
    )
    key: OptionalPath = Field(
        NO_FILE, description="PEM file of its private key, without a password"
    )
    client_ca: OptionalPath = Field(
        NO_FILE,
        description="PEM file of the CAs whose certificates clients must show; empty: none need to",
    )
    metrics_tls: bool = Field(
        False, description="serve the metrics page over TLS too, with the same certificate"
    )
    tokens: tuple[TokenSettings, ...] = Field(
        (), description="whose bearer tokens are good for what; with one, every call needs one"
    )
    client_certificates: tuple[CertificateRoleSettings, ...] = Field(
        (), description="whose client certificates are good for what; the same"
    )
    trusted_clients: tuple[Unnamed, ...] = Field(
        (Unnamed.LOCAL,),
        description="clients without credentials whose records count without a bound: @local (on "
        "the host itself), @ipv4, @ipv6, @unix; @import always does",
    )
    open_health: bool = Field(
        True, description="let everybody ask grpc.health.v1, whoever may ask the rest"
    )
    calls_per_second_per_client: float = Field(
        0.0, ge=0, description="calls a second that one client may make for long; 0: no limit"
    )
    burst_per_client: int = Field(
        1000, ge=1, description="calls that a client may make at once after a pause"
    )
    max_calls_per_client: int = Field(
        0, ge=0, description="calls in progress of one client in one worker; 0: no limit"
    )
    max_clients: int = Field(
        10_000, ge=1, description="clients whose calls each worker counts; older ones are forgotten"
    )
    max_stream_messages: int = Field(
        0, ge=0, description="messages that one stream may bring; 0: no limit"
    )
    stream_idle_timeout_s: float = Field(
        0.0,
        ge=0,
        description="time that a stream may bring nothing, or take no answer, in s; 0: no limit",
    )

    @property
    def trusted(self) -> frozenset[str]:
        """Clients, as events name them, whose outcomes count without a bound."""
        tokens = [one.name for one in self.tokens if one.trusted]
        certificates = [one.name for one in self.client_certificates if one.trusted]
        # Who writes into the file of the log could say that anybody had sent it.
        unnamed = [one.value for one in (Unnamed.IMPORT, *self.trusted_clients)]
        return frozenset([*tokens, *certificates, *unnamed])

    @model_validator(mode="after")
    def _whole(self) -> "SecuritySettings":
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together: set both, or neither")
        if self.certificate is None and self.client_ca is not None:
            raise ValueError("client_ca needs TLS: set certificate and key")
        if self.certificate is None and self.metrics_tls:
            raise ValueError("metrics_tls needs TLS: set certificate and key")
        if self.client_certificates and self.client_ca is None:
            raise ValueError("client_certificates need client_ca: no certificate is asked for")
        _check_unique("hash", "tokens", [token.hash for token in self.tokens])
        _check_unique("name", "client_certificates", [one.name for one in self.client_certificates])
        return self


def _check_unique(what: str, where: str, values: Sequence[str]) -> None:
    if len(set(values)) < len(values):
        raise ValueError(f"two of {where} have the same {what}")
