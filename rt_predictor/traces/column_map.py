"""Column map of a CSV or Parquet job log: job column -> column of the file, and its unit."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import MappingProxyType

from rt_predictor.errors import UsageError
from rt_predictor.jobs.asked import MOMENT


class Kind(Enum):
    """Kind of a job column. The value: its units -> factor to seconds, MB or a count."""

    TIME = MappingProxyType({"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9})
    SPAN = MappingProxyType({"s": 1.0, "ms": 1e-3, "min": 60.0, "h": 3600.0, "d": 86400.0})
    MEMORY = MappingProxyType(
        {"MB": 1.0, "B": 2.0**-20, "KB": 2.0**-10, "GB": 2.0**10, "TB": 2.0**20}
    )
    COUNT = MappingProxyType({"count": 1.0})
    TEXT = MappingProxyType({"text": 1.0})

    @property
    def default_unit(self) -> str:
        """The unit of the job frame."""
        return next(iter(self.value))


KINDS: Mapping[str, Kind] = {
    "submit_time": Kind.TIME,
    "start_time": Kind.TIME,
    "end_time": Kind.TIME,
    "time_req": Kind.SPAN,
    "runtime": Kind.SPAN,
    "mem_req": Kind.MEMORY,
    "processors_req": Kind.COUNT,
    "nodes_req": Kind.COUNT,
    "gpus_req": Kind.COUNT,
    "partition": Kind.TEXT,
    "qos": Kind.TEXT,
    "user": Kind.TEXT,
    "account": Kind.TEXT,
    "job_name": Kind.TEXT,
    "cluster": Kind.TEXT,
    "array_job_id": Kind.TEXT,
    "array_task_id": Kind.TEXT,
    "het_job_id": Kind.TEXT,
    "gpu_type": Kind.TEXT,
    "attempt": Kind.COUNT,
    "job_id": Kind.TEXT,
    "state": Kind.TEXT,
    "suspended": Kind.SPAN,
    "elapsed": Kind.SPAN,
    "as_of": Kind.TIME,
}
"""Kind of each column of `JOB_SCHEMA`, of `suspended`: time that is no part of the runtime, and of
what is said of jobs that run: for how long, and when (`jobs.asked.MOMENT`)."""


@dataclass(frozen=True)
class FileColumn:
    """A column of a file. `unit` None: the unit of the job frame (s, MB, counts)."""

    name: str
    unit: str | None = None


@dataclass(frozen=True)
class ColumnMap:
    """Job column -> column of the file.

    Raises UsageError for an unknown job column, an unknown unit, or a file column mapped twice.
    """

    columns: Mapping[str, FileColumn]

    def __post_init__(self) -> None:
        origin: dict[str, str] = {}
        for job_column, file_column in self.columns.items():
            if job_column not in KINDS:
                raise UsageError(
                    f"column map: {job_column!r} is no job column: choose from {', '.join(KINDS)}"
                )
            units = KINDS[job_column].value
            if file_column.unit is not None and file_column.unit not in units:
                raise UsageError(
                    f"column map: {job_column} cannot be in {file_column.unit!r}: choose from "
                    f"{', '.join(units)}"
                )
            if file_column.name in origin:
                raise UsageError(
                    f"column map: the file's column {file_column.name!r} is mapped twice, to "
                    f"{origin[file_column.name]} and {job_column}"
                )
            origin[file_column.name] = job_column

    def factor(self, job_column: str) -> float:
        """Return the factor from the file's unit to that of the job frame."""
        kind = KINDS[job_column]
        factor: float = kind.value[self.columns[job_column].unit or kind.default_unit]
        return factor

    @classmethod
    def from_mapping(cls, entries: Mapping[str, object]) -> "ColumnMap":
        """Build a map from entries like {"user": "uid", "time_req": {"column": "limit", "unit":
        "min"}}.

        Raises UsageError for anything else.
        """
        return cls({job_column: _file_column(job_column, e) for job_column, e in entries.items()})

    @classmethod
    def from_toml(cls, path: Path) -> "ColumnMap":
        """Read a map from a TOML file, one `job_column = "file column"` or
        `job_column = { column = "file column", unit = "min" }` a line.

        Raises UsageError where the file cannot be read or breaks a rule.
        """
        try:
            entries = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"cannot read the column map {path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"the column map {path} is not TOML: {error}") from error
        return cls.from_mapping(entries)


def _file_column(job_column: str, entry: object) -> FileColumn:
    match entry:
        case str(name):
            return FileColumn(name)
        case {"column": str(name), **rest} if not rest:
            return FileColumn(name)
        case {"column": str(name), "unit": str(unit), **rest} if not rest:
            return FileColumn(name, unit)
    raise UsageError(
        f"column map: {job_column} = {entry!r}: give the file's column as text, or as "
        '{ column = "...", unit = "..." }'
    )


NREL_EAGLE = ColumnMap.from_mapping(
    {
        "submit_time": "submit_time",
        "processors_req": "processors_req",
        "nodes_req": "nodes_req",
        "mem_req": "mem_req",
        "gpus_req": "gpus_req",
        "time_req": "wallclock_req",
        "partition": "partition",
        "qos": "qos",
        "user": "user",
        "account": "account",
        "job_name": "name",
        "job_id": "job_id",
        "start_time": "start_time",
        "end_time": "end_time",
        "runtime": "run_time",
        "state": "state",
    }
)
"""The NREL Eagle data set. https://github.com/NREL/eagle-jobs"""
_NREL_EAGLE_MARKS = frozenset({"wallclock_req", "run_time"})


PM100 = ColumnMap.from_mapping(
    {
        "submit_time": "submit_time",
        "processors_req": "num_cores_req",
        "nodes_req": "num_nodes_req",
        "mem_req": {"column": "mem_req", "unit": "GB"},
        "gpus_req": "num_gpus_req",
        "time_req": {"column": "time_limit", "unit": "min"},
        "partition": "partition",
        "qos": "qos",
        "user": "user_id",
        "account": "group_id",
        "job_id": "job_id",
        "start_time": "start_time",
        "end_time": "end_time",
        "runtime": "run_time",
        "state": "job_state",
    }
)
"""The PM100 data set (Marconi100). https://doi.org/10.5281/zenodo.10127767

Its documentation gives minutes for limits, seconds for runtimes and no unit for memory: that is
taken as GB of the whole job, of which a node has 256.
"""
_PM100_MARKS = frozenset({"num_cores_req", "num_nodes_req", "mem_req", "time_limit", "run_time"})
_SCHEMAS = ((_NREL_EAGLE_MARKS, NREL_EAGLE), (_PM100_MARKS, PM100))
"""Columns by which a data set is known, and its map."""


def recognise(names: Iterable[str]) -> ColumnMap:
    """The map of a file whose header is known: of a public data set, or our own names.

    The result maps only columns that are there; it is empty for an unknown header.
    """
    present = set(names)
    columns = {name: FileColumn(name) for name in KINDS if name not in MOMENT}
    for marks, schema in _SCHEMAS:
        if present >= marks:
            columns = dict(schema.columns)
    return ColumnMap({job: found for job, found in columns.items() if found.name in present})
