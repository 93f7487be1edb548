"""Job logs: SWF, `sacct -P` text, CSV and Parquet, read into one frame of finished jobs."""

from rt_predictor.traces.column_map import ColumnMap, FileColumn
from rt_predictor.traces.reader import read_trace, read_traces
from rt_predictor.traces.sacct import SACCT_FORMAT
from rt_predictor.traces.trace import (
    MalformedLine,
    ReadOptions,
    Skip,
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
    "Skip",
    "Trace",
    "TraceFormat",
    "read_trace",
    "read_traces",
    "request_columns",
]
