"""Metrics of security."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Gauge


class SecurityMetrics:
    """The series of security in one worker. All read the same files."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._expires = Gauge(
            "rt_predictor_certificate_expiry_timestamp_seconds",
            "When the certificate in use expires, in Unix seconds; of client CAs the first to.",
            ("certificate",),
            multiprocess_mode="livemin",
            registry=registry,
        )
        self._token_expires = Gauge(
            "rt_predictor_token_expiry_timestamp_seconds",
            "When a bearer token expires, in Unix seconds, by its name in the settings.",
            ("token",),
            multiprocess_mode="livemin",
            registry=registry,
        )
        self._not_renewed = Gauge(
            "rt_predictor_certificate_not_renewed",
            "1 while the certificate's files hold what cannot be used, so the old one stays.",
            multiprocess_mode="livemax",
            registry=registry,
        )

    def tokens(self, expires_at_s: Mapping[str, float]) -> None:
        """Show when those tokens expire that do."""
        for name, at_s in expires_at_s.items():
            self._token_expires.labels(name).set(at_s)

    def certificates(self, expires_at_s: Mapping[str, float], *, not_renewed: bool) -> None:
        """Show when each certificate expires, and whether the files are in use."""
        for name, at_s in expires_at_s.items():
            self._expires.labels(name).set(at_s)
        self._not_renewed.set(not_renewed)
