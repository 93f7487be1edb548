"""JSON lines from a pipe: answered as they come, in order, none harmed by another."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.cli.scoring.lines import answer_lines, arriving_lines
from rt_predictor.cli.scoring.plain_lines import MAX_LINE_BYTES
from rt_predictor.cli.scoring.tables import read_lines
from rt_predictor.errors import ServiceError
from rt_predictor.traces import ColumnMap, ReadOptions
from rt_predictor.traces.trace import DEFAULT_OPTIONS
from tests.cli.scoring.conftest import HalfTheLimit
from tests.waiting import PATIENCE_S


class Pipe:
    """A pipe, and what was answered to its lines."""

    def __init__(self) -> None:
        self.end, self.start = os.pipe()
        self.answers: list[dict[str, object]] = []
        self.news = asyncio.Event()

    def write(self, text: str | bytes) -> None:
        data = text.encode() if isinstance(text, str) else text
        assert os.write(self.start, data) == len(data)

    def close(self) -> None:
        if self.start >= 0:
            os.close(self.start)
            self.start = -1

    def take(self, data: bytes) -> None:
        self.answers += [json.loads(line) for line in data.splitlines()]
        self.news.set()

    async def wait_for(self, answers: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.answers) < answers:
                self.news.clear()
                await self.news.wait()


@pytest.fixture
async def pipe() -> AsyncIterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()
    os.close(pipe.end)


async def _answer(
    pipe: Pipe, scorer: HalfTheLimit, options: ReadOptions = DEFAULT_OPTIONS, head: bytes = b""
) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await answer_lines(arriving_lines(pipe.end, head), scorer.open, options, pipe.take)


async def test_a_line_is_answered_while_the_next_is_not_there(
    pipe: Pipe, scorer: HalfTheLimit
) -> None:
    answering = asyncio.create_task(_answer(pipe, scorer))
    pipe.write('{"time_req": 60}\n{"time_')
    await pipe.wait_for(1)
    assert pipe.answers[0]["predicted_runtime"] == 30.0
    pipe.write('req": 120}\n')
    await pipe.wait_for(2)
    assert pipe.answers[1]["predicted_runtime"] == 60.0
    assert not answering.done()
    pipe.close()
    await answering


async def test_what_has_arrived_is_scored_together(pipe: Pipe, scorer: HalfTheLimit) -> None:
    pipe.write('{"time_req": 60}\n' * 100)
    pipe.close()
    await _answer(pipe, scorer)
    assert scorer.rounds == [100]
    assert len(pipe.answers) == 100


async def test_a_bad_line_is_an_error_in_its_place(pipe: Pipe, scorer: HalfTheLimit) -> None:
    pipe.write('{"job_id": "a", "time_req": 60}\nnonsense\n\n{"time_req": -1, "job_id": 7}\n{}')
    pipe.close()
    await _answer(pipe, scorer)
    assert [answer["job_id"] for answer in pipe.answers] == ["a", "2", "7", "4"]
    assert [answer["predicted_runtime"] for answer in pipe.answers] == [30.0, None, None, None]
    errors = [answer["error"] for answer in pipe.answers]
    assert errors[0] is None
    assert errors[3] is None
    assert errors[1].startswith("the line is not JSON")
    assert errors[2].startswith("time_req = -1.0: must be a number from 1")


async def test_nothing_but_bad_lines_are_as_many_errors(pipe: Pipe, scorer: HalfTheLimit) -> None:
    pipe.write("a\nb\nc\n")
    pipe.close()
    await _answer(pipe, scorer)
    assert len(pipe.answers) == 3
    assert all(answer["error"] for answer in pipe.answers)


async def test_a_line_without_an_end_takes_no_memory(pipe: Pipe, scorer: HalfTheLimit) -> None:
    answering = asyncio.create_task(_answer(pipe, scorer))
    for _ in range(3 * MAX_LINE_BYTES // 50_000):
        await asyncio.to_thread(pipe.write, b"x" * 50_000)
    pipe.write('\n{"time_req": 60}\n')
    pipe.close()
    await answering
    assert pipe.answers[0]["error"] == "the line is longer than 256 kB"
    assert pipe.answers[1]["predicted_runtime"] == 30.0


async def test_an_empty_pipe_has_no_answers(pipe: Pipe, scorer: HalfTheLimit) -> None:
    pipe.close()
    await _answer(pipe, scorer)
    assert pipe.answers == []


async def test_what_was_read_to_tell_the_format_is_answered_too(
    pipe: Pipe, scorer: HalfTheLimit
) -> None:
    pipe.write('0}\n{"time_req": 120}\n')
    pipe.close()
    await _answer(pipe, scorer, head=b'{"time_req": 6')
    assert [answer["predicted_runtime"] for answer in pipe.answers] == [30.0, 60.0]


async def test_a_file_in_place_of_the_pipe_is_read_to_its_end(
    tmp_path, pipe: Pipe, scorer: HalfTheLimit
) -> None:
    (tmp_path / "jobs").write_text('{"time_req": 60}\n' * 3)
    with (tmp_path / "jobs").open() as file:
        lines = arriving_lines(file.fileno(), b"")
        await answer_lines(lines, scorer.open, DEFAULT_OPTIONS, pipe.take)
    assert len(pipe.answers) == 3


async def test_columns_may_have_other_names(pipe: Pipe, scorer: HalfTheLimit) -> None:
    columns = ColumnMap.from_mapping({"time_req": {"column": "limit", "unit": "min"}})
    pipe.write('{"limit": 10}\n')
    pipe.close()
    await _answer(pipe, scorer, ReadOptions(columns=columns))
    assert pipe.answers[0]["predicted_runtime"] == 300.0


async def test_earlier_lines_have_their_answers_when_the_service_goes_away(
    pipe: Pipe, scorer: HalfTheLimit
) -> None:
    def goes_away(_: object) -> None:
        if scorer.rounds:
            raise ServiceError("gone")

    scorer.trouble = goes_away
    answering = asyncio.create_task(_answer(pipe, scorer))
    pipe.write('{"time_req": 60}\n')
    await pipe.wait_for(1)
    pipe.write('{"time_req": 60}\n')
    with pytest.raises(ServiceError, match="gone"):
        await answering
    assert len(pipe.answers) == 1


_FIELDS = st.dictionaries(
    st.sampled_from(["job_id", "request_id", "time_req", "mem_req", "runtime", "run_time", "user",
                     "wallclock_req", "submit_time", "nodes_req"]),
    st.one_of(st.none(), st.integers(-1, 10**6), st.floats(), st.text(), st.booleans(),
              st.sampled_from(["1:00:00", "2G", "2024-01-01T00:00:00", "\ud800", "10Mc"])),
)  # fmt: skip
_LINES = st.one_of(
    _FIELDS.map(lambda fields: json.dumps(fields).encode()),
    st.binary(min_size=1, max_size=20).filter(lambda b: b.strip() and b"\n" not in b),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_LINES, min_size=1, max_size=6))
def test_what_a_line_says_does_not_depend_on_the_others(lines: list[bytes]) -> None:
    together, errors = read_lines(lines, DEFAULT_OPTIONS)
    assert len(together) == len(lines)
    for row, line in enumerate(lines):
        alone, error = read_lines([line], DEFAULT_OPTIONS)
        assert alone.equals(together[row : row + 1])
        assert error.get(0) == errors.get(row)


def _pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    for start, stop in pairwise(edges):
        if start < stop:
            yield data[start:stop]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.binary(max_size=8).filter(lambda b: b"\n" not in b), max_size=8),
    st.lists(st.integers(0, 100), max_size=6),
)
def test_lines_are_the_same_wherever_the_pipe_cuts_them(
    lines: list[bytes], cuts: list[int]
) -> None:
    async def read() -> list[bytes]:
        end, start = os.pipe()
        found: list[bytes] = []
        try:

            async def collect() -> None:
                async for some in arriving_lines(end, b""):
                    found.extend(some)

            collecting = asyncio.create_task(collect())
            for piece in _pieces(b"\n".join(lines), cuts):
                os.write(start, piece)
                await asyncio.sleep(0)
            os.close(start)
            await asyncio.wait_for(collecting, PATIENCE_S)
        finally:
            os.close(end)
        return found

    assert asyncio.run(read()) == [line for line in lines if line.strip()]
