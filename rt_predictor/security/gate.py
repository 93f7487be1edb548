"""The gate: who calls, whether they may, and how much. What has no gate is open to all."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from loguru import logger

from rt_predictor.errors import ForbiddenError, UnauthenticatedError
from rt_predictor.security.client_limits import ClientLimits
from rt_predictor.security.role import Role
from rt_predictor.security.roles import Caller, is_standard_health, roles_for
from rt_predictor.security.tokens import TokenTable
from rt_predictor.settings import SecuritySettings

AUTHORIZATION = "authorization"
_SCHEME = "bearer "
_CERTIFICATE_NAMES = ("x509_common_name", "x509_subject_alternative_name")
"""Property in which gRPC puts the names of a client's certificate."""

Metadata = Iterable[tuple[str, str | bytes]]
Auth = Mapping[str, Iterable[bytes]]


@dataclass(frozen=True)
class Gate:
    """Decides on every call from its metadata and, where that says nothing, its certificate."""

    tokens: TokenTable
    certificates: Mapping[str, Caller]
    """Name in a client's certificate -> who that is"""
    limits: ClientLimits | None
    open_health: bool
    """True if grpc.health.v1 answers everybody"""

    @classmethod
    def of(cls, settings: SecuritySettings) -> "Gate | None":
        """The gate that the settings ask for; None where everybody may ask everything."""
        limited = settings.calls_per_second_per_client or settings.max_calls_per_client
        if not (settings.tokens or settings.client_certificates or limited):
            return None
        limits = ClientLimits(
            calls_per_s=settings.calls_per_second_per_client,
            burst=settings.burst_per_client,
            max_calls=settings.max_calls_per_client,
            max_clients=settings.max_clients,
        )
        return cls(
            TokenTable(settings.tokens),
            {
                one.name: Caller(one.name, frozenset(one.roles))
                for one in settings.client_certificates
            },
            limits if limited else None,
            settings.open_health,
        )

    def check_early(self, method: str, metadata: Metadata) -> None:
        """Refuse a call, where it must be, before any of its messages is read.

        Raises UnauthenticatedError and ForbiddenError.
        """
        if self._is_open(method):
            return
        caller = self._token_holder(metadata)
        if caller is not None:
            _check_role(method, caller)
        elif self.tokens and not self.certificates:
            raise UnauthenticatedError

    def check(self, method: str, metadata: Metadata, auth: Callable[[], Auth]) -> Caller | None:
        """Return the caller; None where that makes no difference. `auth` gives what TLS knows of
        it.

        Raises UnauthenticatedError and ForbiddenError.
        """
        if self._is_open(method) or not (self.tokens or self.certificates):
            return None
        caller = self._token_holder(metadata)
        if caller is None and self.certificates:
            caller = self._certificate_holder(auth())
        if caller is None:
            raise UnauthenticatedError
        _check_role(method, caller)
        if roles_for(method) == {Role.ADMIN}:
            logger.info("admin call", method=method, caller=caller.name)
        return caller

    def _is_open(self, method: str) -> bool:
        return self.open_health and is_standard_health(method)

    def _token_holder(self, metadata: Metadata) -> Caller | None:
        """None where no token is shown. Raises UnauthenticatedError for one that is not known."""
        if not self.tokens:
            return None
        shown = [value for key, value in metadata if key == AUTHORIZATION]
        if not shown:
            return None
        (value, *more) = shown
        if more or not isinstance(value, str) or value[: len(_SCHEME)].lower() != _SCHEME:
            raise UnauthenticatedError
        caller = self.tokens.find(value[len(_SCHEME) :].strip(), time.time())
        if caller is None:
            raise UnauthenticatedError
        return caller

    def _certificate_holder(self, auth: Auth) -> Caller | None:
        """The first of the certificate's names that is known."""
        for kind in _CERTIFICATE_NAMES:
            for name in auth.get(kind, ()):
                caller = self.certificates.get(name.decode(errors="replace"))
                if caller is not None:
                    return caller
        return None


def _check_role(method: str, caller: Caller) -> None:
    allowed = roles_for(method)
    if not allowed & caller.roles:
        raise ForbiddenError(caller.name, sorted(allowed))
