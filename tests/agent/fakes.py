"""A service that does as it is told, and an agent over it at a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from rt_predictor.agent.agent import Agent
from rt_predictor.agent.run import answering
from rt_predictor.client import Health, Job, Prediction
from rt_predictor.model.answer_flags import Flag
from rt_predictor.settings import AgentSettings
from tests.waiting import PATIENCE_S

LONG_MS = 30_000.0
"""A deadline that no answer of the fake service misses."""


@dataclass
class FakeService:
    """Predicts half the limit; hangs, fails or is away on demand."""

    asked: list[Job] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Calls wait until it is set."""
    error: Exception | None = None
    """What calls raise."""
    status: str = "SERVING"
    looks: int = 0
    looked: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def predict(self, job: Job) -> Prediction:
        self.asked.append(job)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        half = (job.time_req or 200.0) / 2
        return Prediction(
            half, half / 2, half * 2, 0.9, 0.1, 300.0, {"xgboost": half}, Flag.UNSEEN_QOS, "m1", ""
        )

    async def health(self) -> Health:
        self.looks += 1
        self.looked.set()
        if self.error is not None:
            raise self.error
        return Health(self.status, "so it is", 1.0, 1, {}, "1")


def agent_settings(**settings: object) -> AgentSettings:
    """Settings that wait long for answers and look at the service once, unless told otherwise."""
    return AgentSettings.model_validate(
        {
            "deadline_ms": LONG_MS,
            "call_timeout_s": 30.0,
            "heartbeat_s": 1000.0,
            "connections": 1,
            **settings,
        }
    )


@dataclass
class Caller:
    """One connection to an agent."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def say(self, *lines: object) -> None:
        for line in lines:
            text = line if isinstance(line, bytes) else json.dumps(line).encode()
            self.writer.write(text + b"\n")

    async def hear(self) -> dict[str, Any]:
        line = await asyncio.wait_for(self.reader.readline(), PATIENCE_S)
        assert line, "the agent has closed the connection"
        return dict(json.loads(line))

    async def ask(self, line: object) -> dict[str, Any]:
        self.say(line)
        return await self.hear()

    async def is_closed(self) -> bool:
        """Whether the agent closes the connection, without another word."""
        try:
            return await asyncio.wait_for(self.reader.read(), PATIENCE_S) == b""
        except ConnectionResetError:
            return True


@dataclass
class Running:
    """An agent that answers at `path`."""

    agent: Agent
    path: Path

    @asynccontextmanager
    async def caller(self) -> AsyncIterator[Caller]:
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        try:
            yield Caller(reader, writer)
        finally:
            writer.transport.abort()

    async def until(self, **stats: object) -> None:
        """Waits until the agent's `stats` say so."""
        async with asyncio.timeout(PATIENCE_S):
            while not stats.items() <= self.agent.stats().items():
                await asyncio.sleep(0.005)


@asynccontextmanager
async def running(service: FakeService, folder: Path, **settings: object) -> AsyncIterator[Running]:
    """An agent over a service, for as long as the context lasts."""
    path = folder / "agent.sock"
    async with answering(agent_settings(**settings), path, lambda _: service) as agent:
        yield Running(agent, path)


def job(**fields: object) -> dict[str, object]:
    """A request for a prediction."""
    return {"v": 1, "job": {"time_req": 3600, "user": "alice", "partial": True, **fields}}
