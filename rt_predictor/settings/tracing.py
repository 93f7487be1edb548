"""Settings of traces."""

from typing import Annotated

from pydantic import AfterValidator, Field

from rt_predictor.settings.section import Section


def _receiver(value: str) -> str:
    scheme, _, rest = value.partition("://")
    if scheme not in {"http", "https"} or not rest:
        raise ValueError("must begin with http:// or https://, e.g. http://localhost:4317")
    return value


class TracingSettings(Section):
    """`[tracing]`: where spans of calls are sent, and of how many calls."""

    enabled: bool = Field(
        False, description="send spans of calls in OpenTelemetry; needs the extra `tracing`"
    )
    endpoint: Annotated[str, AfterValidator(_receiver)] = Field(
        "http://localhost:4317", description="OTLP receiver (gRPC); https:// for TLS"
    )
    sample_ratio: float = Field(
        0.1, ge=0, le=1, description="share of calls traced, of those whose caller does not decide"
    )
    service_name: str = Field(
        "rt-predictor", min_length=1, description="name of the service in traces"
    )
    max_queue_spans: int = Field(
        2048, ge=1, description="spans that wait to be sent at most; more are dropped"
    )
    export_timeout_s: float = Field(
        10.0, gt=0, description="time after which spans that cannot be sent are dropped, in s"
    )
