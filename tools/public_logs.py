"""The public job logs that the base model learns from, whom their terms ask to name, and how read.

Accuracy is measured on eleven of them. Of these the base model learns only what had
ended before the 70 % mark of submissions: figures of what came after are of jobs it has not seen.
"""

import gzip
import io
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from rt_predictor.jobs.schema import JOB_SCHEMA
from rt_predictor.traces import read_trace
from rt_predictor.training.prepare import whole_log

_ARCHIVE = (
    "Parallel Workloads Archive (D. G. Feitelson, D. Tsafrir, D. Krakov, Experience with using the "
    "Parallel Workloads Archive, J. Parallel Distrib. Comput. 74(10), 2014)"
)
_JOBLOG = (
    "JOBLOG and job trace data, Copyright 2000-2005 The Regents of the University of California, "
    "free for educational, research and non-profit purposes"
)


@dataclass(frozen=True)
class PublicLog:
    """One log of one system."""

    name: str
    file: str
    centre: str
    """Who ran the system: logs of one centre are left out together."""
    acknowledgement: str
    judged: bool = True
    """Whether it is one of the eleven."""

    def read(self, folder: Path) -> pl.DataFrame:
        """Read its jobs, the columns of `JOB_SCHEMA`. Raises TraceError."""
        path = folder / self.file
        if self.file.endswith("-lumos.csv.gz"):
            return _read_lumos(path)
        return whole_log(read_trace(path))


def _archive(people: str, more: str = "") -> str:
    return f"{people}; {_ARCHIVE}{f'; {more}' if more else ''}"


PUBLIC_LOGS: tuple[PublicLog, ...] = (
    PublicLog(
        "Graham",
        "drac-graham-2021.sacct.gz",
        "DRAC",
        "B. Popa, G. Alain, SLURM queue time prediction using neural networks, software v1.0.0, "
        "2023 (MIT licence, Copyright 2023 Mila); Pier-Luc St-Onge (Calcul Quebec), James "
        "Desjardins and Tyler Collins (SHARCNET), Digital Research Alliance of Canada, who "
        "collected the data",
    ),
    PublicLog(
        "Curie",
        "CEA-Curie-2011-2.1-cln.swf.gz",
        "CEA",
        _archive("Joseph Emeras, CEA/CNRS"),
    ),
    PublicLog(
        "SDSC-BLUE",
        "SDSC-BLUE-2000-4.2-cln.swf.gz",
        "SDSC",
        _archive("Travis Earheart and Nancy Wilkins-Diehr"),
    ),
    PublicLog(
        "CTC-SP2",
        "CTC-SP2-1996-3.1-cln.swf.gz",
        "CTC",
        _archive("Dan Dwyer and Steve Hotovy"),
    ),
    PublicLog(
        "SDSC-SP2",
        "SDSC-SP2-1998-4.2-cln.swf.gz",
        "SDSC",
        _archive("Victor Hazlewood", _JOBLOG),
    ),
    PublicLog("KTH-SP2", "KTH-SP2-1996-2.swf.gz", "KTH", _archive("Lars Malinowsky")),
    PublicLog(
        "SDSC-DS",
        "SDSC-DS-2004-2.1-cln.swf.gz",
        "SDSC",
        _archive("Victor Hazlewood", _JOBLOG),
    ),
    PublicLog(
        "HPC2N",
        "HPC2N-2002-2.2-cln.swf.gz",
        "HPC2N",
        _archive("Ake Sandgren and Michael Jack"),
    ),
    PublicLog("LANL-CM5", "LANL-CM5-1994-4.1-cln.swf.gz", "LANL", _archive("Curt Canada")),
    PublicLog(
        "Thunder",
        "LLNL-Thunder-2007-1.1-cln.swf.gz",
        "LLNL",
        _archive("Moe Jette, LLNL"),
    ),
    PublicLog(
        "LPC-EGEE",
        "LPC-EGEE-2004-1.2-cln.swf.gz",
        "LPC",
        _archive("Emmanuel Medernach"),
    ),
    PublicLog(
        "METACENTRUM",
        "METACENTRUM-2009-2.swf.gz",
        "MetaCentrum",
        _archive("Dalibor Klusacek and the Czech National Grid MetaCentrum"),
        judged=False,
    ),
    PublicLog(
        "OSC",
        "OSC-Clust-2000-3.1-cln.swf.gz",
        "OSC",
        _archive("SuperCluster HPC Workload/Resource Trace Repository"),
        judged=False,
    ),
    PublicLog(
        "SDSC-Par",
        "SDSC-Par-1996-3.1-cln.swf.gz",
        "SDSC",
        _archive("Reagan Moore and Allen Downey"),
        judged=False,
    ),
    PublicLog(
        "ThetaGPU",
        "ALCF-ThetaGPU-lumos.csv.gz",
        "ALCF",
        "Argonne Leadership Computing Facility's public job logs, as collected by DIR-LAB (Lumos, "
        "MIT licence)",
        judged=False,
    ),
    PublicLog(
        "Theta",
        "ALCF-Theta-2022.swf.gz",
        "ALCF",
        "Argonne Leadership Computing Facility's public job logs, as converted by the SPEAR Group, "
        "Illinois Tech (MIT licence, Copyright 2021)",
        judged=False,
    ),
)

JUDGED: tuple[PublicLog, ...] = tuple(log for log in PUBLIC_LOGS if log.judged)
"""The eleven."""

_UNKNOWN_USER = "0.0"
"""Ids that are damaged in the ThetaGPU log."""


def _read_lumos(path: Path) -> pl.DataFrame:
    """Read the log format of Lumos, which says waits and spans instead of times."""
    text = gzip.decompress(path.read_bytes())
    rows = pl.read_csv(io.BytesIO(text), schema_overrides={"user": pl.String, "project": pl.String})
    start, submit = pl.col("submit_time") + pl.col("wait_time"), pl.col("submit_time")
    user = pl.when(pl.col("user") != _UNKNOWN_USER).then("user")
    known = rows.select(
        job_id=pl.col("job").cast(pl.String),
        submit_time=submit,
        start_time=start,
        end_time=start + pl.col("run_time"),
        runtime="run_time",
        time_req="wall_time",
        processors_req="cpu_num",
        nodes_req="node_num",
        gpus_req="gpu_num",
        user=user,
        account="project",
        state=pl.col("new_status").replace({"Pass": "COMPLETED", "Failed": "FAILED"}),
    )
    absent = [
        pl.lit(None, kind).alias(name) for name, kind in JOB_SCHEMA.items() if name not in known
    ]
    return known.with_columns(absent).cast(dict(JOB_SCHEMA)).select(*JOB_SCHEMA)
