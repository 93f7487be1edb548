"""`rt-predictor score`."""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rt_predictor.cli.access_options import takes_access
from rt_predictor.cli.options import (
    LOG_PANEL,
    BundleFolder,
    Columns,
    Fields,
    InputFormat,
    Target,
    Timeout,
    Timezone,
    chosen_target,
    read_options,
)
from rt_predictor.cli.scoring.formats import STDIO, AnswerFormat
from rt_predictor.errors import UsageError

if TYPE_CHECKING:
    from rt_predictor.cli.scoring.inputs import InputOptions, Requests
    from rt_predictor.cli.scoring.outputs import Destination
    from rt_predictor.cli.scoring.scorers import OpenScorer
    from rt_predictor.cli.scoring.watch import Watch
    from rt_predictor.client import Access

_WATCHING = "A folder that is watched"


@takes_access
def score(
    *,
    input_: Annotated[
        Path | None,
        typer.Argument(
            metavar="INPUT",
            help="Jobs: csv, parquet, jsonl, swf, sacct -P text or squeue --json; - is stdin.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where answers go: .csv, .parquet or .jsonl; - is stdout; a folder with --spool.",
        ),
    ] = STDIO,
    to: Annotated[
        AnswerFormat | None,
        typer.Option(help="How answers are written.  [default: as FILE is named; jsonl on stdout]"),
    ] = None,
    format_: Annotated[
        InputFormat | None,
        typer.Option(
            "--format",
            help="What INPUT is.  [default: what its name, then its content says]",
            rich_help_panel=LOG_PANEL,
        ),
    ] = None,
    states: Annotated[
        str,
        typer.Option(
            metavar="STATE,…",
            help="Jobs of squeue and sacct in these states, e.g. PENDING,RUNNING, or all.",
            show_default="pending of squeue, all of sacct",
            rich_help_panel=LOG_PANEL,
        ),
    ] = "",
    spool: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder to watch in place of INPUT: each file that is renamed into it is answered "
            "in a file of its own in the folder after -o.",
            rich_help_panel=_WATCHING,
        ),
    ] = None,
    once: Annotated[
        bool,
        typer.Option("--once", help="End when the folder is empty.", rich_help_panel=_WATCHING),
    ] = False,
    poll: Annotated[
        float,
        typer.Option(
            min=0.01,
            metavar="SECONDS",
            help="Time between two looks into an empty folder.",
            rich_help_panel=_WATCHING,
        ),
    ] = 0.2,
    fields: Fields = "",
    columns: Columns = None,
    timezone: Timezone = "UTC",
    target: Target = None,
    bundle: BundleFolder = None,
    timeout: Timeout = 60.0,
    chunk: Annotated[
        int, typer.Option(min=1, metavar="N", help="Jobs that are sent and scored together.")
    ] = 5000,
    access: "Access",
) -> None:
    """Predicts the jobs of a file, of Slurm's queue, a pipe or a folder.

    Of csv and parquet the columns are read that are named as the fields of the API: submit_time,
    processors_req, nodes_req, mem_req, gpus_req, time_req, partition, qos, user, account, job_name,
    and job_id. Any may be missing; --columns says where the names differ. Of jsonl each line is an
    object of these fields. Of squeue the jobs that wait are read, of sacct all jobs, whether they
    have ended or not, of swf the finished ones.

    Written is one row a job, in the order of INPUT (of submission for swf):

    - job_id: that of INPUT, else the number of the record
    - predicted_runtime, confidence_lower, confidence_upper: s
    - confidence_level, timeout_probability: 0 to 1
    - recommended_time_req: the limit to ask for, s
    - model_version
    - flags: what makes the answer less certain, with spaces between
    - error: why this job has no answer; the others have theirs

    Example:

        rt-predictor score jobs.csv -o predictions.parquet
        squeue --json | rt-predictor score -
        hook | rt-predictor score - --format jsonl --target predictor:50051
        rt-predictor score --spool /var/spool/jobs -o /var/spool/answers

    JSON lines from stdin to stdout are answered as they come, in their order.
    """
    asked = chosen_target(target, bundle)
    if (input_ is None) == (spool is None):
        raise UsageError("name INPUT (- is stdin) or a folder to watch (--spool): one of them")
    from rt_predictor.cli.scoring.inputs import InputOptions
    from rt_predictor.cli.scoring.scorers import open_bundle, open_service
    from rt_predictor.cli.scoring.states import parse_states

    options = InputOptions(read_options(fields, columns, timezone), format_, parse_states(states))
    if bundle is not None:
        open_scorer: OpenScorer = partial(open_bundle, bundle)
    else:
        open_scorer = partial(open_service, asked, timeout, access)
    if input_ is not None:
        from rt_predictor.cli.scoring.outputs import Destination

        _score(input_, Destination.of(output, to), options, open_scorer, chunk)
    elif spool is not None:
        from rt_predictor.cli.scoring.watch import Watch

        how = Watch(options, to or AnswerFormat.JSONL, chunk, poll, once)
        _watch(spool, output, how, open_scorer)


def _watch(folder: Path, answers: Path, how: "Watch", open_scorer: "OpenScorer") -> None:
    if answers == STDIO:
        raise UsageError("name the folder that answers go to: -o DIR")
    from rt_predictor.cli.scoring.spool import Spool
    from rt_predictor.cli.scoring.watch import watch_until_told

    with (spool := Spool(folder, answers, f".{how.format}")).locked():
        asyncio.run(watch_until_told(spool, open_scorer, how, partial(typer.echo, err=True)))


def _score(
    input_: Path,
    destination: "Destination",
    options: "InputOptions",
    open_scorer: "OpenScorer",
    chunk_jobs: int,
) -> None:
    from rt_predictor.cli.scoring import stdin
    from rt_predictor.cli.scoring.inputs import detect_json

    if input_ != STDIO:
        _check_apart(input_, destination.path)
        _score_file(input_, destination, options, open_scorer, chunk_jobs)
        return
    head = b"" if options.format is InputFormat.JSONL else stdin.read_head()
    options = replace(options, format=options.format or detect_json(head))
    if options.format is InputFormat.JSONL and destination.is_lines_on_stdout:
        _answer_lines(head, options, open_scorer)
        return
    with stdin.as_file(head) as path:
        _score_file(path, destination, options, open_scorer, chunk_jobs)


def _answer_lines(head: bytes, options: "InputOptions", open_scorer: "OpenScorer") -> None:
    from rt_predictor.cli.scoring.lines import answer_lines, arriving_lines
    from rt_predictor.cli.scoring.outputs import write_stdout

    lines = arriving_lines(sys.stdin.fileno(), head)
    asyncio.run(answer_lines(lines, open_scorer, options.reading, write_stdout))


def _check_apart(input_: Path, output: Path | None) -> None:
    if output and output.exists() and input_.exists() and output.samefile(input_):
        raise UsageError(f"{output} is the input: choose another file for the answers")


def _score_file(
    path: Path,
    destination: "Destination",
    options: "InputOptions",
    open_scorer: "OpenScorer",
    chunk_jobs: int,
) -> None:
    from rt_predictor.cli.scoring.inputs import read_requests
    from rt_predictor.cli.scoring.scorers import score_shown

    requests = read_requests(path, options)
    table = asyncio.run(score_shown(requests, open_scorer, chunk_jobs))
    destination.write(table)
    _summarise(requests, table["error"].drop_nulls().to_list(), destination)


def _summarise(requests: "Requests", errors: list[str], destination: "Destination") -> None:
    """One line on stderr; in a pipe only if something is missing from the answers."""
    from rich.console import Console

    total = len(requests.jobs)
    parts = [f"{total - len(errors):,} of {total:,} jobs scored into {destination}"]
    if errors:
        parts.append(f"{len(errors):,} have an error, the first: {errors[0]}")
    if requests.left_out:
        parts.append(f"left out: {_counted(requests.left_out)}")
    parts += [f"note: {note}" for note in requests.notes]
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if not console.is_terminal and len(parts) == 1:
        return
    if requests.in_other_states:
        parts.append(f"not asked for (--states): {_counted(requests.in_other_states)}")
    console.print("; ".join(parts), markup=False)


def _counted(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
