"""Security of one process, as its settings say."""

from dataclasses import dataclass

from rt_predictor.security.certificates import CertificateFiles, CertificateWatch
from rt_predictor.security.client_limits import NO_STREAM_LIMITS, StreamLimits
from rt_predictor.security.gate import Gate
from rt_predictor.settings import SecuritySettings


@dataclass(frozen=True)
class Security:
    """Protection of the ports; without any, all is open."""

    certificates: CertificateWatch | None = None
    """None: no TLS."""
    page_certificates: CertificateWatch | None = None
    """Those of the metrics page; None: no TLS there."""
    gate: Gate | None = None
    """None: everybody may ask everything."""
    streams: StreamLimits = NO_STREAM_LIMITS

    @classmethod
    def open(cls, settings: SecuritySettings) -> "Security":
        """Read and try the files. Raises CertificateError."""
        files = certificate_files(settings)
        watch = None if files is None else CertificateWatch(files)
        return cls(
            watch,
            watch if settings.metrics_tls else None,
            Gate.of(settings),
            StreamLimits(settings.max_stream_messages, settings.stream_idle_timeout_s),
        )


OPEN = Security()
"""Everybody may ask everything, in plain text."""


def certificate_files(settings: SecuritySettings) -> CertificateFiles | None:
    """The files that the settings name; None without TLS."""
    if settings.certificate is None or settings.key is None:
        return None
    return CertificateFiles(settings.certificate, settings.key, settings.client_ca)
