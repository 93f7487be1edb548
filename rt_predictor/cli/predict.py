"""`rt-predictor predict`."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from time import time as time_now
from typing import TYPE_CHECKING, Annotated

import typer

from rt_predictor.cli.access_options import takes_access
from rt_predictor.cli.options import BundleFolder, Json, Target, Timeout, chosen_target
from rt_predictor.cli.units import memory_mb, moment_s, time_limit_s
from rt_predictor.errors import UsageError

if TYPE_CHECKING:
    from rt_predictor.client import Access, Job, Prediction

_JOB = "The job"
_OPTION_OF_FIELD = {
    "processors_req": "--processors",
    "nodes_req": "--nodes",
    "mem_req": "--mem",
    "time_req": "--time",
    "partition": "--partition",
    "qos": "--qos",
}


@takes_access
def predict(
    *,
    processors: Annotated[
        int | None, typer.Option(metavar="N", help="Cores of the whole job.", rich_help_panel=_JOB)
    ] = None,
    nodes: Annotated[
        int | None, typer.Option(metavar="N", help="Nodes.", rich_help_panel=_JOB)
    ] = None,
    mem: Annotated[
        float | None,
        typer.Option(
            parser=memory_mb,
            metavar="MB",
            help="Memory of the whole job: MB, or a size such as 125G.",
            rich_help_panel=_JOB,
        ),
    ] = None,
    time: Annotated[
        float | None,
        typer.Option(
            parser=time_limit_s,
            metavar="SECONDS",
            help="Time limit: seconds, or a span such as 1:30:00 or 2-00:00:00.",
            rich_help_panel=_JOB,
        ),
    ] = None,
    partition: Annotated[
        str, typer.Option(metavar="NAME", help="Partition or queue.", rich_help_panel=_JOB)
    ] = "",
    qos: Annotated[
        str, typer.Option(metavar="NAME", help="Quality of service.", rich_help_panel=_JOB)
    ] = "",
    user: Annotated[
        str, typer.Option(metavar="NAME", help="Login name of the user.", rich_help_panel=_JOB)
    ] = "",
    account: Annotated[
        str,
        typer.Option(metavar="NAME", help="Account that is charged.", rich_help_panel=_JOB),
    ] = "",
    job_name: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the job.", rich_help_panel=_JOB)
    ] = "",
    gpus: Annotated[
        int | None, typer.Option(metavar="N", help="GPUs of the whole job.", rich_help_panel=_JOB)
    ] = None,
    submit_time: Annotated[
        float | None,
        typer.Option(
            parser=moment_s,
            metavar="WHEN",
            help="Submit time: Unix seconds or ISO 8601 (UTC).",
            show_default="now; with --as-of then, less --elapsed",
            rich_help_panel=_JOB,
        ),
    ] = None,
    partial: Annotated[
        bool,
        typer.Option(
            "--partial",
            help="Predict even where some of the first six are not known.",
            rich_help_panel=_JOB,
        ),
    ] = False,
    confidence: Annotated[
        float | None,
        typer.Option(
            metavar="LEVEL",
            help="Level of the interval and, from 0.5 on, of the recommended limit: 0 to 1.",
            show_default="the service's own",
        ),
    ] = None,
    quantiles: Annotated[
        list[float] | None,
        typer.Option(
            "--quantile",
            metavar="LEVEL",
            help="Also show within what time this share of such jobs ends; may be repeated.",
            show_default=False,
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show which finished jobs the answer rests on.")
    ] = False,
    elapsed: Annotated[
        float | None,
        typer.Option(
            parser=time_limit_s,
            metavar="SECONDS",
            help="How long the job has been running: seconds, or a span such as 1:30:00.",
            rich_help_panel=_JOB,
        ),
    ] = None,
    as_of: Annotated[
        float | None,
        typer.Option(
            parser=moment_s,
            metavar="WHEN",
            help="Answer as of this time: Unix seconds or ISO 8601 (UTC).",
            show_default="its submit time; with --elapsed now",
            rich_help_panel=_JOB,
        ),
    ] = None,
    target: Target = None,
    bundle: BundleFolder = None,
    timeout: Timeout = 10.0,
    as_json: Json = False,
    access: "Access",
) -> None:
    """Predict how long one job will run.

    Beside the runtime: an interval around it, the chance that the job hits its time limit, and the
    limit to ask for; with --elapsed, all of it for a job that is running. The first six options are
    needed unless --partial is given; the others make the answer better.

    Example:

        rt-predictor predict --processors 32 --nodes 4 --mem 128000 --time 3600 \\
            --partition normal --qos normal --user alice
    """
    asked = chosen_target(target, bundle)
    from rt_predictor.client import Job

    job = Job(
        processors_req=processors,
        nodes_req=nodes,
        mem_req=mem,
        time_req=time,
        partition=partition,
        qos=qos,
        user=user,
        account=account,
        job_name=job_name,
        gpus_req=gpus,
        submit_time=submit_time,
        partial=partial,
        confidence_level=confidence,
        quantiles=tuple(quantiles or ()),
        explain=explain,
        elapsed=elapsed,
        as_of=as_of,
    )
    job = _with_moment(job)
    _check(job)
    if not as_json:
        from rt_predictor.cli.answer_lines import MIDDLE

        job = replace(job, quantiles=(*MIDDLE, *job.quantiles))
    if bundle is not None:
        answer = _answer_of_bundle(job, bundle)
    else:
        answer = asyncio.run(_answer_of_service(job, asked, timeout, access))
    if as_json:
        from rt_predictor.client.documents import prediction_document

        typer.echo(json.dumps(prediction_document(answer), indent=2))
    else:
        from rt_predictor.cli.answer_lines import answer_lines
        from rt_predictor.cli.words import aligned

        typer.echo(aligned(answer_lines(job, answer, tuple(quantiles or ()))))


def _check(job: "Job") -> None:
    """Raise UsageError naming the options that are missing, InvalidJobError for a wrong one."""
    from rt_predictor.jobs.asked import check_asked
    from rt_predictor.jobs.rules import check_job

    missing = [
        option for field, option in _OPTION_OF_FIELD.items() if getattr(job, field) in (None, "")
    ]
    if missing and not job.partial:
        raise UsageError(
            f"{', '.join(missing)} not given: add what is missing, or --partial to go without"
        )
    check_job(vars(job), partial=job.partial)
    check_asked(vars(job))


def _with_moment(job: "Job") -> "Job":
    """The job with the times that are not said: `with_moments` of one."""
    if job.elapsed is None and job.as_of is None:
        return job
    as_of = time_now() if job.as_of is None else job.as_of
    submit_time = job.submit_time
    if submit_time is None:
        submit_time = as_of - (job.elapsed or 0.0)
    return replace(job, as_of=as_of, submit_time=submit_time)


async def _answer_of_service(
    job: "Job", target: str, timeout_s: float, access: "Access"
) -> "Prediction":
    from rt_predictor.client import Client

    async with Client(target, timeout_s=timeout_s, access=access) as client:
        return await client.predict(job)


def _answer_of_bundle(job: "Job", folder: Path) -> "Prediction":
    from rt_predictor.cli.local import load_predictor, predict_one

    return predict_one(load_predictor(folder), job)
