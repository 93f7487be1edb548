"""`rt-predictor score`."""

import asyncio
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rt_predictor.cli.access_options import takes_access
from rt_predictor.cli.options import (
    LOG_PANEL,
    STDIO,
    AnswerFormat,
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
from rt_predictor.errors import UsageError

if TYPE_CHECKING:
    from rt_predictor.cli.scoring.inputs import InputOptions, Requests
    from rt_predictor.cli.scoring.outputs import Destination
    from rt_predictor.cli.scoring.scorers import OpenScorer
    from rt_predictor.cli.scoring.watch import Watch
    from rt_predictor.client import Access

_WATCHING = "Watching a folder"


@takes_access
def score(
    *,
    input_: Annotated[
        Path | None,
        typer.Argument(
            metavar="INPUT",
            help="Jobs: csv, parquet, jsonl, swf, sacct -P, squeue --json or -o; - is stdin.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Output: .csv, .parquet or .jsonl file; - is stdout; a folder with --spool.",
        ),
    ] = STDIO,
    to: Annotated[
        AnswerFormat | None,
        typer.Option(help="Format of the answers.  [default: as FILE is named; jsonl on stdout]"),
    ] = None,
    format_: Annotated[
        InputFormat | None,
        typer.Option(
            "--format",
            help="Format of INPUT.  [default: by its name, then its content]",
            rich_help_panel=LOG_PANEL,
        ),
    ] = None,
    states: Annotated[
        str,
        typer.Option(
            metavar="STATE,…",
            help="Only jobs of squeue and sacct in these states, e.g. PENDING,RUNNING; or all.",
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
        typer.Option("--once", help="Stop when the folder is empty.", rich_help_panel=_WATCHING),
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
        int,
        typer.Option(min=1, metavar="N", help="Jobs that are scored in one call."),
    ] = 5000,
    access: "Access",
) -> None:
    """Predict the jobs of a file, of Slurm's queue, a pipe or a folder.

    Columns of csv and parquet are named as the fields of the API: submit_time, processors_req,
    nodes_req, mem_req, gpus_req, time_req, partition, qos, user, account, job_name, and job_id. Any
    may be missing; --columns maps other names. In jsonl each line is an object of these fields.
    squeue gives the jobs that wait, sacct all jobs, whether they have ended or not, swf the
    finished ones. What runs is answered given how long it has run: elapsed, and as_of, the time at
    which it had (now, if not said); squeue and sacct tell both.

    The output has one row for each job, in the order of INPUT (of submission for swf):

    - job_id: that of INPUT, else the number of the record
    - predicted_runtime, confidence_lower, confidence_upper: s
    - confidence_level, timeout_probability: 0 to 1
    - recommended_time_req: the limit to ask for, s
    - model_version
    - flags: what makes the answer less certain, separated by spaces
    - error: why this job has no answer
    - remaining_runtime: what is left of predicted_runtime, s; only where a job runs

    Example:

        rt-predictor score jobs.csv -o predictions.parquet
        squeue --json | rt-predictor score - --states PENDING,RUNNING
        hook | rt-predictor score - --format jsonl --target predictor:50051
        rt-predictor score --spool /var/spool/jobs -o /var/spool/answers

    JSON lines from stdin to stdout are answered as they come, in their order.
    """
    asked = chosen_target(target, bundle)
    if (input_ is None) == (spool is None):
        raise UsageError("give INPUT (- is stdin) or a folder to watch (--spool), not both")
    from rt_predictor.cli.scoring.inputs import InputOptions, parse_states
    from rt_predictor.cli.scoring.scorers import open_bundle, open_service

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
    from rt_predictor.cli.scoring.inputs import detect_json, read_stdin_head, stdin_as_file

    if input_ != STDIO:
        _check_apart(input_, destination.path)
        _score_file(input_, destination, options, open_scorer, chunk_jobs)
        return
    head = b"" if options.format is InputFormat.JSONL else read_stdin_head()
    options = replace(options, format=options.format or detect_json(head))
    if options.format is InputFormat.JSONL and destination.is_lines_on_stdout:
        _answer_lines(head, options, open_scorer)
        return
    with stdin_as_file(head) as path:
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
    """Print one line on stderr; in a pipe only if something is missing from the answers."""
    from rich.console import Console

    from rt_predictor.cli.words import counted, reasons

    total = len(requests.jobs)
    jobs = counted(total, "job")
    parts = [f"{total - len(errors):,} of {jobs} scored into {destination}"]
    if errors:
        have = "1 has an error" if len(errors) == 1 else f"{len(errors):,} have errors, the first"
        parts.append(f"{have}: {errors[0]}")
    if requests.left_out:
        parts.append(f"left out: {reasons(requests.left_out)}")
    parts += [f"note: {note}" for note in requests.notes]
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if not console.is_terminal and len(parts) == 1:
        return
    if requests.in_other_states:
        parts.append(f"not asked for (--states): {reasons(requests.in_other_states)}")
    console.print("; ".join(parts), markup=False)
