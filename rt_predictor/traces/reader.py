"""Reads job logs of any known format."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from rt_predictor.errors import UsageError
from rt_predictor.jobs.identity import distinct_jobs
from rt_predictor.traces.detect import detect_format
from rt_predictor.traces.sacct import read_sacct
from rt_predictor.traces.source import Progress
from rt_predictor.traces.swf import read_swf
from rt_predictor.traces.table import read_csv, read_parquet
from rt_predictor.traces.tally import SHOWN_LINES, sorted_jobs
from rt_predictor.traces.trace import DEFAULT_OPTIONS, ReadOptions, Trace, TraceFormat

_READERS: Mapping[TraceFormat, Callable[[Path, ReadOptions, Progress | None], Trace]] = {
    TraceFormat.SWF: read_swf,
    TraceFormat.SACCT: read_sacct,
    TraceFormat.CSV: read_csv,
    TraceFormat.PARQUET: read_parquet,
}


def read_trace(
    path: Path,
    *,
    format: TraceFormat | None = None,
    options: ReadOptions = DEFAULT_OPTIONS,
    progress: Progress | None = None,
) -> Trace:
    """Read the finished jobs of a job log.

    format: None tells it from the name and the content. Text may be compressed (gz, bz2, xz).
    progress: called now and then with the share of the file read (0 to 1).

    Raises TraceError, in one line that says what is wrong, where, and how to mend it, where the
    log cannot be read, more than `options.max_malformed_share` of its records are malformed, or
    it has no finished job.
    """
    read = _READERS[format or detect_format(path)]
    return read(path, options, progress)


def read_traces(
    paths: Iterable[Path],
    *,
    format: TraceFormat | None = None,
    options: ReadOptions = DEFAULT_OPTIONS,
    progress: Progress | None = None,
) -> Trace:
    """Read several job logs as one: as `read_trace` each, then their jobs in order of submit.

    `path` and `format` of the result are the first log's, `more_paths` are the others.
    Raises TraceError, and UsageError where there are no paths.
    """
    every = list(paths)
    if not every:
        raise UsageError("no job log given: name at least one file")
    traces = [
        read_trace(path, format=format, options=options, progress=_part(progress, at, len(every)))
        for at, path in enumerate(every)
    ]
    if len(traces) == 1:
        return traces[0]
    skipped: Counter[str] = Counter()
    for trace in traces:
        skipped.update(trace.skipped)
    jobs, repeated = distinct_jobs([trace.jobs for trace in traces])
    notes = [f"{trace.path}: {note}" for trace in traces for note in trace.notes]
    if repeated:
        notes.append(f"jobs that are in several of the files count once: {repeated:,} left out")
    malformed = [line for trace in traces for line in trace.malformed]
    return Trace(
        jobs=sorted_jobs(jobs),
        format=traces[0].format,
        path=every[0],
        lines=sum(trace.lines for trace in traces),
        malformed=tuple(malformed[:SHOWN_LINES]),
        malformed_count=sum(trace.malformed_count for trace in traces),
        skipped=dict(skipped),
        notes=tuple(notes),
        more_paths=tuple(every[1:]),
        cancelled=distinct_jobs([trace.cancelled for trace in traces])[0],
        open=distinct_jobs([trace.open for trace in traces])[0],
        quarantined=distinct_jobs([trace.quarantined for trace in traces])[0],
    )


def _part(progress: Progress | None, at: int, of: int) -> Progress | None:
    """Progress in one of several files, as progress in all of them."""
    if progress is None:
        return None
    return lambda share: progress((at + share) / of)
