"""The standard health service, `grpc.health.v1`, that load balancers and container tools ask."""

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from rt_predictor.api.middleware import SERVICE

HEALTH_SERVICE: str = health.SERVICE_NAME


class StandardHealth:
    """ "" is alive: SERVING as long as the process runs. The service's own name is ready."""

    def __init__(self) -> None:
        self._servicer = health.aio.HealthServicer()

    async def add_to(self, server: grpc.aio.Server) -> None:
        """Adds the health service to a server; not ready at first."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)
        await self.set_ready(ready=False)

    async def set_ready(self, *, ready: bool) -> None:
        """Says whether the service answers, to those who ask and those who watch."""
        status = health_pb2.HealthCheckResponse
        await self._servicer.set(SERVICE, status.SERVING if ready else status.NOT_SERVING)
