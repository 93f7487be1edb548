"""TLS on the gRPC port, with certificates that may be renewed while it is open."""

import grpc

from rt_predictor.observability.health import Check, Health, State
from rt_predictor.observability.security_metrics import SecurityMetrics
from rt_predictor.security.certificates import Certificates, CertificateWatch


def server_credentials(watch: CertificateWatch) -> grpc.ServerCredentials:
    """Credentials whose new connections are shown the certificate that is current by then."""
    served = watch.current

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        """Asked by gRPC before each handshake; None where nothing has changed."""
        nonlocal served
        if watch.current is served:
            return None
        served = watch.current
        return _configuration(served)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(served),
        renewed,  # type: ignore[arg-type]  # None is allowed, says gRPC's documentation
        require_client_authentication=served.client_ca is not None,
    )


def certificate_check(watch: CertificateWatch | None) -> Check:
    """Whether the certificate in use is the one in the files."""

    def check() -> Health:
        if watch is None:
            return Health(State.SERVING, "switched off (security.certificate)")
        if watch.problem:
            return Health(State.DEGRADED, f"the old certificate stays in use: {watch.problem}")
        return Health(State.SERVING, "the certificate is that of its file")

    return check


def sample_certificates(watch: CertificateWatch, metrics: SecurityMetrics) -> None:
    """Looks for renewed files, and shows when certificates expire. Blocks on the disk."""
    watch.look()
    metrics.certificates(watch.current.expires_at_s, not_renewed=bool(watch.problem))


def _configuration(certificates: Certificates) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(certificates.key, certificates.chain)], certificates.client_ca
    )
