"""The home cluster in a log: its jobs are told with its name or without, and are the same.

They lie in the log without the name, as edition 1.0 wrote all. What came in under the name before
it was known to be that of home is renamed once; `fact` says for which name that was done.
"""

import sqlite3

from loguru import logger

from rt_predictor.eventlog import tables
from rt_predictor.eventlog.appending import Appending
from rt_predictor.eventlog.removing import begin_anew

_HOME_FACT = "home_cluster"
_DOUBLE_ENDS = (
    f"cluster = '' AND kind = '{tables.ENDED}' AND EXISTS (SELECT 1 FROM outcome "
    "LEFT JOIN outcome_source USING (position) WHERE outcome.job_id = event.job_id "
    "AND outcome.submit_time = event.submit_time AND coalesce(outcome_source.cluster, '') = '' "
    "AND coalesce(outcome_source.attempt, 0) = event.attempt)"
)


def is_home(connection: sqlite3.Connection, name: str) -> bool:
    """Return whether a log knows already that a cluster is the home one."""
    found = connection.execute(tables.SELECT_FACT, (_HOME_FACT,)).fetchone()
    return found is not None and found[0] == name


def take_home(connection: sqlite3.Connection, name: str) -> int:
    """Make the jobs of a cluster those of home, within the transaction that a connection is in.

    Where an event had come in with the name and without, that without stands, and the other one is
    kept apart as any that is told again. Returns how many events had the name; where it is any, the
    log has another id then.
    """
    run = connection.execute
    before = run(tables.SELECT_FACT, (_HOME_FACT,)).fetchone()
    if before is not None and before[0] != name:
        logger.warning(
            "another cluster is home now: jobs that name none count as of it", before=before[0]
        )
    run(tables.PUT_FACT, (_HOME_FACT, name))
    run("UPDATE OR IGNORE version SET cluster = '' WHERE cluster = ?", (name,))
    run("DELETE FROM version WHERE cluster = ?", (name,))
    renamed = run("UPDATE outcome_source SET cluster = '' WHERE cluster = ?", (name,)).rowcount
    (named,) = run("SELECT count(*) FROM event WHERE cluster = ?", (name,)).fetchone()
    run("UPDATE OR IGNORE event SET cluster = '' WHERE cluster = ?", (name,))
    if renamed + named:
        _put_doubles_apart(connection, name)
        begin_anew(connection)
    return renamed + int(named)


def _put_doubles_apart(connection: sqlite3.Connection, name: str) -> None:
    """Take out events that are there under the same identity already, and tell of them again."""
    where = f"cluster = ? OR ({_DOUBLE_ENDS})"
    columns = ", ".join("''" if column == "cluster" else column for column in tables.STORED_COLUMNS)
    doubles = connection.execute(
        f"SELECT {columns} FROM event WHERE {where} ORDER BY position", (name,)
    ).fetchall()
    connection.execute(f"DELETE FROM event WHERE {where}", (name,))
    Appending(connection).add(doubles)
