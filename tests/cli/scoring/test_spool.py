"""A spool: each file is answered once, whatever happens to the process."""

import asyncio
import gzip
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import IOBase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.cli.options import AnswerFormat
from rt_predictor.cli.scoring import watch as watching
from rt_predictor.cli.scoring.attempts import MOST, Attempts
from rt_predictor.cli.scoring.inputs import InputOptions
from rt_predictor.cli.scoring.spool import Spool
from rt_predictor.cli.scoring.watch import Watch, this_round, watch
from rt_predictor.errors import ServiceError, StartupError, UsageError
from rt_predictor.traces.trace import DEFAULT_OPTIONS
from tests.cli.scoring.conftest import HalfTheLimit
from tests.waiting import PATIENCE_S

ONCE = Watch(InputOptions(DEFAULT_OPTIONS), AnswerFormat.JSONL, 100, poll_s=0.01, once=True)


def _job(job_id: str, time_req: float = 60.0) -> str:
    return json.dumps({"job_id": job_id, "time_req": time_req}) + "\n"


class Site:
    """A folder, its answers, and what was said."""

    def __init__(self, root: Path) -> None:
        self.folder, self.answers = root / "jobs", root / "answers"
        self.folder.mkdir()
        self.said: list[str] = []
        self.spool = Spool(self.folder, self.answers, ".jsonl")

    def drop(self, name: str, text: str) -> None:
        """As hooks do: by rename."""
        unfinished = self.folder / f".{name}"
        unfinished.write_text(text)
        unfinished.rename(self.folder / name)

    def empty(self, scorer: HalfTheLimit, how: Watch = ONCE) -> None:
        """One process that answers what is there."""

        async def process() -> None:
            with self.spool.locked():
                await asyncio.wait_for(
                    watch(self.spool, scorer.open, how, asyncio.Event(), self.said.append),
                    PATIENCE_S,
                )

        asyncio.run(process())

    def answer(self, name: str) -> list[dict[str, Any]]:
        text = (self.answers / f"{name}.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def left(self) -> list[str]:
        """Whatever lies in the folders but the lock."""
        every = [*self.folder.rglob("*"), *self.answers.rglob("*")]
        return sorted(p.name for p in every if not p.is_dir() and p.name != "lock")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


# what happens to files


def test_every_file_has_its_answers_and_is_gone(site: Site, scorer: HalfTheLimit) -> None:
    site.drop("1.json", _job("a") + _job("b", 120.0))
    site.drop("2.csv", "job_id,time_req\nc,20\n,40\n")
    site.empty(scorer)
    assert site.left() == ["1.json.jsonl", "2.csv.jsonl"]
    assert [(a["job_id"], a["predicted_runtime"]) for a in site.answer("1.json")] == [
        ("a", 30.0),
        ("b", 60.0),
    ]
    assert [a["job_id"] for a in site.answer("2.csv")] == ["c", "2"]
    assert site.said == []


def test_what_has_arrived_is_scored_together(site: Site, scorer: HalfTheLimit) -> None:
    for number in range(20):
        site.drop(f"{number}.json", _job(str(number)))
    site.empty(scorer)
    assert scorer.rounds == [20]
    assert all(site.answer(f"{n}.json")[0]["job_id"] == str(n) for n in range(20))


def test_a_round_is_bounded_and_takes_the_oldest_first(site: Site) -> None:
    for age, name in enumerate(["c", "a", "b"]):
        site.drop(name, _job(name))
        os.utime(site.folder / name, (age, age))
    with site.spool.locked():
        assert [file.name for file in site.spool.claim(2, 1 << 20)] == ["c", "a"]
        assert [file.name for file in site.spool.claim(9, 1)] == ["c"], "claimed before, not done"
        assert [file.name for file in site.spool.claim(9, 1 << 20)] == ["c", "a", "b"]


def test_files_that_are_not_whole_yet_are_left_alone(site: Site, scorer: HalfTheLimit) -> None:
    for name in (".hidden", "a.part", "a.tmp", "a~"):
        (site.folder / name).write_text("half of")
    (site.folder / "sub").mkdir()
    (site.folder / "link").symlink_to(site.folder / "a.tmp")
    site.empty(scorer)
    assert site.left() == [".hidden", "a.part", "a.tmp", "a~", "link"]


def test_a_bad_job_is_an_error_in_the_answers_of_its_file(site: Site, scorer: HalfTheLimit) -> None:
    site.drop("a.json", _job("a") + "nonsense\n")
    site.drop("b.json", _job("b", -1.0))
    site.drop("c.json", _job("c"))
    site.empty(scorer)
    assert [a["error"] is None for a in site.answer("a.json")] == [True, False]
    assert site.answer("b.json")[0]["error"].startswith("time_req = -1.0: must be a number")
    assert site.answer("c.json")[0]["predicted_runtime"] == 30.0


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.csv", "x,y\n1,2\n", "a.csv has no column that describes a job; it has x, y"),
        ("a.json", '{"a\n{"b\n', "no line of a.json holds a job: the line is not JSON"),
        ("a.json", "{}\n", "no line of a.json holds a job: its first line names no field"),
        ("a", "hello\n", "cannot tell the format of a (first line 'hello')"),
        ("a.json", "", "a.json is empty"),
        ("a.json", '{"jobs": [{', "is it cut short?"),
        ("n" * 220, _job("a"), "its name is longer than 200 bytes: rename it"),
    ],
    ids=["columns", "no job", "no field", "format", "empty", "queue", "name"],
)
def test_a_file_that_cannot_be_read_is_set_aside_with_the_reason(
    site: Site, scorer: HalfTheLimit, name: str, text: str, says: str
) -> None:
    site.drop(name, text)
    site.drop("good.json", _job("good"))
    site.empty(scorer)
    rejected = site.folder / "rejected"
    assert (rejected / name).read_text() == text
    (reason,) = rejected.glob("*.reason")
    assert says in reason.read_text()
    assert len(site.said) == 1
    assert says in site.said[0]
    assert len(site.answer("good.json")) == 1
    assert ".rt-predictor" not in reason.read_text(), "nobody knows that place"


def test_a_file_too_large_is_set_aside(
    site: Site, scorer: HalfTheLimit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MAX_FILE_BYTES", 100)
    site.drop("a.json", _job("a") * 10)
    site.empty(scorer)
    assert "it is larger than" in site.said[0]


def test_a_file_that_unpacks_to_too_much_is_set_aside_before_it_is_read(
    site: Site, scorer: HalfTheLimit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MAX_FILE_BYTES", 100_000)
    (site.folder / "a.jsonl.gz").write_bytes(gzip.compress(_job("a").encode() * 10_000))
    site.drop("good.json", _job("b"))
    site.empty(scorer)
    assert "it is larger than 0 MB unpacked: split it" in site.said[0]
    assert len(site.answer("good.json")) == 1


def test_a_link_where_answers_are_written_is_not_followed(
    site: Site, scorer: HalfTheLimit, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    site.answers.mkdir(exist_ok=True)
    (site.answers / ".a.json.jsonl.part").symlink_to(mine)
    site.drop("a.json", _job("a"))
    site.empty(scorer)
    assert mine.read_text() == "mine"
    assert [answer["job_id"] for answer in site.answer("a.json")] == ["a"]
    assert not (site.answers / "a.json.jsonl").is_symlink()


def test_a_file_that_no_process_survives_is_set_aside_and_the_others_answered(
    site: Site, scorer: HalfTheLimit
) -> None:
    for name in ("bad.json", "good.json"):
        site.drop(name, _job(name))
    for dead in range(MOST):
        with site.spool.locked():
            files = this_round(site.spool.claim(9, 1 << 20), site.spool.attempts)
            # After the first end nobody knows which one did it, so they go one by one.
            assert [file.name for file in files] == ["bad.json", *["good.json"] * (not dead)]
            _leave(site, files)
    site.empty(scorer)
    assert (site.folder / "rejected" / "bad.json").exists()
    assert f"{MOST} processes ended while they read it" in site.said[0]
    assert len(site.answer("good.json")) == 1
    assert site.left() == ["bad.json", "bad.json.reason", "good.json.jsonl"]


def _leave(site: Site, files: list[Path]) -> None:
    path = site.folder / ".rt-predictor" / "attempts.json"
    context = Attempts(path).begun(files)
    context.__enter__()
    kept = path.read_bytes()
    context.__exit__(None, None, None)
    path.write_bytes(kept)


def test_a_file_that_breaks_the_scorer_is_found_and_set_aside(
    site: Site, scorer: HalfTheLimit
) -> None:
    def breaks(jobs: pl.DataFrame) -> None:
        if (jobs["time_req"] == 13.0).any():
            raise ZeroDivisionError("thirteen")

    scorer.trouble = breaks
    for name, limit in (("a", 60.0), ("b", 13.0), ("c", 60.0)):
        site.drop(f"{name}.json", _job(name, limit))
    site.empty(scorer)
    assert site.left() == ["a.json.jsonl", "b.json", "b.json.reason", "c.json.jsonl"]
    assert "unexpected ZeroDivisionError: thirteen" in site.said[0]


def test_a_name_may_come_again(site: Site, scorer: HalfTheLimit) -> None:
    for job in ("first", "second"):
        site.drop("a.json", _job(job))
        site.empty(scorer)
        assert [a["job_id"] for a in site.answer("a.json")] == [job]


def test_a_name_that_comes_again_too_soon_waits_its_turn(site: Site, scorer: HalfTheLimit) -> None:
    site.drop("a.json", _job("first"))
    with site.spool.locked():
        site.spool.claim(9, 1 << 20)
        site.drop("a.json", _job("second"))
        (file,) = site.spool.claim(9, 1 << 20)
        assert file.read_text() == _job("first")
    assert (site.folder / "a.json").read_text() == _job("second")


# who may work on it


def test_only_one_process_works_on_a_folder(site: Site) -> None:
    other = Spool(site.folder, site.answers, ".jsonl")
    with (
        site.spool.locked(),
        pytest.raises(StartupError, match="is watched by another process"),
        other.locked(),
    ):
        pass
    with other.locked():
        pass


def test_folders_that_cannot_be_used_are_refused(site: Site, tmp_path: Path) -> None:
    for folder, answers, says in (
        (tmp_path / "none", site.answers, "is no folder"),
        (site.folder, site.folder, "is where jobs come from"),
        (site.folder, site.folder / "file" / "x", "cannot work in"),
    ):
        (site.folder / "file").write_text("")
        with pytest.raises(UsageError, match=says), Spool(folder, answers, ".jsonl").locked():
            pass


# what is nobody's fault


async def test_files_wait_while_the_service_is_away(site: Site, scorer: HalfTheLimit) -> None:
    asked = 0
    stop = asyncio.Event()

    def away(_: pl.DataFrame) -> None:
        nonlocal asked
        asked += 1
        if asked < 4:
            raise ServiceError("no service answers")

    scorer.trouble = away
    site.drop("a.json", _job("a"))
    how = Watch(ONCE.options, ONCE.format, 100, poll_s=0.01, once=False, retry_s=0.01)
    with site.spool.locked():
        watched = asyncio.create_task(watch(site.spool, scorer.open, how, stop, site.said.append))
        async with asyncio.timeout(PATIENCE_S):
            while not (site.answers / "a.json.jsonl").exists():
                await asyncio.sleep(0.01)
            site.drop("b.json", _job("b"))
            while not (site.answers / "b.json.jsonl").exists():
                await asyncio.sleep(0.01)
            stop.set()
            await watched
    assert site.said == ["no service answers; files wait until that is over"]


def test_a_folder_that_is_emptied_once_does_not_wait_for_a_service(
    site: Site, scorer: HalfTheLimit
) -> None:
    def away(_: pl.DataFrame) -> None:
        raise ServiceError("no service answers")

    scorer.trouble = away
    site.drop("a.json", _job("a"))
    with pytest.raises(ServiceError):
        site.empty(scorer)
    scorer.trouble = lambda _: None
    site.empty(scorer)
    assert len(site.answer("a.json")) == 1


def test_answers_that_cannot_be_written_are_written_later(
    site: Site, scorer: HalfTheLimit, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        site.drop(f"{name}.json", _job(name))
    made = []
    symlink_to = Path.symlink_to

    def full(self: Path, target: Path) -> None:
        made.append(target)
        if len(made) == 2:
            raise OSError(28, "No space left on device")
        symlink_to(self, target)

    monkeypatch.setattr(Path, "symlink_to", full)
    with pytest.raises(OSError, match="No space"):
        site.empty(scorer)
    site.empty(scorer)
    assert site.left() == ["a.json.jsonl", "b.json.jsonl", "c.json.jsonl"]
    assert scorer.rounds == [3, 2], "what was committed before is not scored again"


# what is left by a process that was killed


class Killed(BaseException):
    """The process is no more."""


class Consumer:
    """Takes answers away as soon as they are there, after each thing that is done to a file."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.jobs: list[str] = []
        self.left = -1
        self._taking = False

    def step(self) -> None:
        if self._taking:
            return
        self.take()
        self.left -= 1
        if self.left == 0:
            raise Killed

    def take(self) -> None:
        self._taking = True
        for path in self.site.answers.glob("[!.]*"):
            self.jobs += [json.loads(line)["job_id"] for line in path.read_text().splitlines()]
            path.unlink()
        self._taking = False


@contextmanager
def _dies_after(consumer: Consumer, steps: int) -> Iterator[None]:
    """Kills what is done inside after so many steps: before and after each change of a folder."""
    consumer.left = steps
    methods = [(Path, name) for name in ("rename", "replace", "symlink_to", "unlink", "open")]

    def watched(original: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            consumer.step()
            done = original(*arguments, **options)
            try:
                consumer.step()
            except Killed:
                if isinstance(done, IOBase):
                    done.close()
                raise
            return done

        return call

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in [*methods, (os, "fsync")]:
            patch.setattr(owner, name, watched(getattr(owner, name)))
        yield
    consumer.left = -1


def _life(site: Site, consumer: Consumer, steps: int) -> bool:
    """One process; says whether it lived to its end."""
    with suppress(Killed):
        with _dies_after(consumer, steps):
            site.empty(HalfTheLimit())
        return True
    return False


def test_killed_at_any_step_no_file_is_lost_and_none_is_answered_twice() -> None:
    steps = 0
    lived = False
    while not lived:
        steps += 1
        with TemporaryDirectory() as folder:
            site = Site(Path(folder))
            consumer = Consumer(site)
            site.drop("a.json", _job("a1") + _job("a2"))
            site.drop("b.json", _job("b"))
            site.drop("bad", "hello")
            lived = _life(site, consumer, steps)
            assert _life(site, consumer, -1)
            consumer.take()
            assert sorted(consumer.jobs) == ["a1", "a2", "b"], f"killed after {steps} steps"
            assert site.left() == ["bad", "bad.reason"]
    assert steps > 40


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from("abcd"), max_size=3), st.integers(1, 80)), max_size=4
    )
)
def test_killed_again_and_again_while_files_come(lives: list[tuple[set[str], int]]) -> None:
    with TemporaryDirectory() as folder:
        site = Site(Path(folder))
        consumer = Consumer(site)
        dropped = []
        for number, (names, steps) in enumerate(lives):
            for name in sorted(names):
                # A hook must not replace a file of its own that nobody has taken yet.
                if not (site.folder / name).exists():
                    dropped.append(f"{name}{number}")
                    site.drop(name, _job(dropped[-1]))
            _life(site, consumer, steps)
        assert _life(site, consumer, -1)
        consumer.take()
        assert sorted(consumer.jobs) == sorted(dropped)
        assert site.left() == []
