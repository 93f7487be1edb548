"""Settings of the agent, which answers submission hooks on their own machine."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from rt_predictor.settings.section import Section


def _known_mode(value: object) -> object:
    try:
        number = int(str(value), 8)
    except ValueError:
        number = -1
    if not 0 <= number <= 0o777:
        raise ValueError('must be permissions in octal, e.g. "0660"')
    return value


class AgentSettings(Section):
    """`[agent]`: `rt-predictor agent`; the service itself reads none of it."""

    target: str = Field("localhost:50051", description="service that the agent asks, host:port")
    mode: Annotated[str, BeforeValidator(_known_mode)] = Field(
        "0660", description="permissions of the agent's socket, in octal"
    )
    group: str = Field("", description='group of the agent\'s socket; "" leaves it')
    deadline_ms: float = Field(
        5.0, gt=0, le=60_000, description="time that a submission waits for an answer, in ms"
    )
    call_timeout_s: float = Field(
        1.0, gt=0, le=60, description="time after which a call to the service has failed, in s"
    )
    cache_answers: int = Field(10_000, ge=0, description="answers that the agent keeps at most")
    cache_ttl_s: float = Field(10.0, gt=0, description="time that the agent keeps an answer, in s")
    heartbeat_s: float = Field(
        2.0, gt=0, description="time between two looks at the service, in s; keeps connections warm"
    )
    failures: int = Field(
        3, ge=1, description="failed calls in a row after which the service counts as away"
    )
    backoff_max_s: float = Field(
        30.0, gt=0, description="longest time between two looks at a service that is away, in s"
    )
    connections: int = Field(2, ge=1, le=64, description="connections to the service")
    max_in_flight: int = Field(64, ge=1, description="calls to the service in progress at most")
    max_clients: int = Field(
        512, ge=1, description="connections to the agent; beyond, the one quiet longest is closed"
    )
    max_line_bytes: int = Field(8192, ge=256, description="length of one line at most")
