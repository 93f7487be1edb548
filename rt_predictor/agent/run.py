"""The life of the agent: listens, looks after the service, stops on SIGTERM."""

import asyncio
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

from loguru import logger

from rt_predictor.agent.agent import Agent
from rt_predictor.agent.answers import Answers, ServicePort
from rt_predictor.agent.connection import Connection
from rt_predictor.agent.socket_file import BACKLOG, listening
from rt_predictor.client import Access, Client
from rt_predictor.client.access import PLAIN
from rt_predictor.errors import EXIT_OK
from rt_predictor.observability.logging import configure_logging
from rt_predictor.processes.event_loop import exit_code_of
from rt_predictor.processes.signals import stop_signals
from rt_predictor.settings import AgentSettings, Settings

ServiceFactory = Callable[[AgentSettings], AbstractAsyncContextManager[ServicePort]]
_SPARE_FILES = 64
"""Files of an agent that are no clients: connections to the service, the log, the loop's own."""


def service_of(
    settings: AgentSettings, access: Access = PLAIN
) -> AbstractAsyncContextManager[ServicePort]:
    """Return the client of the service, which is made nowhere else."""
    return Client(
        settings.target,
        timeout_s=settings.call_timeout_s,
        connections=settings.connections,
        access=access,
    )


def run(settings: Settings, path: Path, service: ServiceFactory = service_of) -> int:
    """Answers at the socket `path` until SIGTERM or SIGINT. Returns the process's exit code."""
    configure_logging(settings.logging)
    return exit_code_of(serve(settings.agent, path, service))


async def serve(settings: AgentSettings, path: Path, service: ServiceFactory = service_of) -> int:
    """Answers at the socket `path` until SIGTERM or SIGINT. Raises StartupError."""
    with stop_signals(hangup=_nothing) as stop:
        async with answering(settings, path, service):
            logger.info("listening", socket=str(path), target=settings.target)
            await stop.asked.wait()
    logger.info("stopped")
    return EXIT_OK


@asynccontextmanager
async def answering(
    settings: AgentSettings, path: Path, service: ServiceFactory = service_of
) -> AsyncIterator[Agent]:
    """An agent that answers at the socket `path`. Raises StartupError."""
    _allow_files(settings.max_clients + _SPARE_FILES)
    with listening(path, int(settings.mode, 8), settings.group) as made:
        async with service(settings) as client:
            answers = Answers(client, settings)
            agent = Agent(answers, settings)
            server = await asyncio.get_running_loop().create_unix_server(
                lambda: Connection(agent), sock=made, backlog=BACKLOG
            )
            looking = asyncio.create_task(answers.look_after_service())
            try:
                yield agent
            finally:
                server.close()
                looking.cancel()
                with suppress(asyncio.CancelledError):
                    await looking
                await agent.stop()


def _allow_files(wanted: int) -> None:
    """Raise this process's limit of open files where it is too low, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        if allowed < wanted:
            logger.warning("few files may be open: lower agent.max_clients", allowed=allowed)


def _nothing() -> None:
    pass
