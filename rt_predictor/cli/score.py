"""`rt-predictor score`."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rt_predictor.cli.options import (
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
    from rt_predictor.cli.score_input import Requests


def score(
    *,
    input_: Annotated[
        Path,
        typer.Argument(metavar="INPUT", help="Jobs: csv, parquet, jsonl, swf or sacct -P text."),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where the answers go: .csv, .parquet or .jsonl."
        ),
    ],
    format_: Annotated[
        InputFormat | None,
        typer.Option(
            "--format",
            help="What INPUT is.  [default: what its name, then its content says]",
            rich_help_panel="How the job log is read",
        ),
    ] = None,
    fields: Fields = "",
    columns: Columns = None,
    timezone: Timezone = "UTC",
    target: Target = None,
    bundle: BundleFolder = None,
    timeout: Timeout = 60.0,
    chunk: Annotated[
        int, typer.Option(min=1, metavar="N", help="Jobs that are sent and scored together.")
    ] = 5000,
) -> None:
    """Predicts every job of a file.

    Of csv and parquet the columns are read that are named as the fields of the API: submit_time,
    processors_req, nodes_req, mem_req, gpus_req, time_req, partition, qos, user, account, job_name,
    and job_id. Any may be missing; --columns says where the names differ. Of jsonl each line is an
    object of these fields. Of swf and sacct the finished jobs are read.

    Written is one row a job, in the order of INPUT (of submission for swf and sacct):

    - job_id: that of INPUT, else the number of the record
    - predicted_runtime, confidence_lower, confidence_upper: s
    - confidence_level, timeout_probability: 0 to 1
    - model_version
    - flags: what makes the answer less certain, with spaces between
    - error: why this job has no answer; the others have theirs

    Example:

        rt-predictor score jobs.csv -o predictions.parquet
    """
    asked = chosen_target(target, bundle)
    from rt_predictor.cli.score_input import detect_input, read_requests
    from rt_predictor.cli.score_output import check_output, write_table

    check_output(output)
    if output.exists() and input_.exists() and output.samefile(input_):
        raise UsageError(f"{output} is the input: choose another file for the answers")
    options = read_options(fields, columns, timezone)
    requests = read_requests(input_, format_ or detect_input(input_), options)

    from rt_predictor.cli.scorers import BundleScorer, ServiceScorer, score_all

    if bundle is not None:
        table = asyncio.run(score_all(requests, BundleScorer(bundle), chunk))
    else:
        table = asyncio.run(score_all(requests, ServiceScorer(asked, timeout), chunk))
    write_table(table, output)
    _summarise(requests, table["error"].drop_nulls().to_list(), output)


def _summarise(requests: "Requests", errors: list[str], output: Path) -> None:
    """One line on stderr; in a pipe only if something is missing from the answers."""
    from rich.console import Console

    total = len(requests.jobs)
    parts = [f"{total - len(errors):,} of {total:,} jobs scored into {output}"]
    if errors:
        parts.append(f"{len(errors):,} have an error, the first: {errors[0]}")
    if requests.left_out:
        parts.append(f"{requests.left_out:,} records of the log are no finished jobs")
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if console.is_terminal or len(parts) > 1:
        console.print("; ".join(parts), markup=False)
