"""Job logs: SWF, `sacct -P` text, CSV and Parquet, read into one frame of finished jobs."""

from rt_predictor.traces.column_map import ColumnMap, FileColumn
from rt_predictor.traces.reader import read_trace, read_traces
from rt_predictor.traces.sacct import SACCT_FORMAT, read_sacct_requests
from rt_predictor.traces.squeue import read_squeue
from rt_predictor.traces.trace import (
    MalformedLine,
    ReadOptions,
    RequestLog,
    Trace,
    TraceFormat,
    request_columns,
)

__all__ = [
    "SACCT_FORMAT",
    "ColumnMap",
    "FileColumn",
    "MalformedLine",
    "ReadOptions",
    "RequestLog",
    "Trace",
    "TraceFormat",
    "read_sacct_requests",
    "read_squeue",
    "read_trace",
    "read_traces",
    "request_columns",
]
