"""The log as edition 1.0 (commit 8f730f9) opens, writes and reads it: its statements, frozen."""

import sqlite3
import uuid
from pathlib import Path

import polars as pl

COLUMNS = (
    "submit_time", "processors_req", "nodes_req", "mem_req", "gpus_req", "time_req", "partition",
    "qos", "user", "account", "job_name", "job_id", "start_time", "end_time", "runtime", "state",
)  # fmt: skip
_CREATE = (
    "CREATE TABLE IF NOT EXISTS outcome (position INTEGER PRIMARY KEY, submit_time REAL NOT NULL, "
    "processors_req REAL, nodes_req REAL, mem_req REAL, gpus_req REAL, time_req REAL, "
    "partition TEXT, qos TEXT, user TEXT, account TEXT, job_name TEXT, job_id TEXT NOT NULL, "
    "start_time REAL, end_time REAL NOT NULL, runtime REAL NOT NULL, state TEXT, "
    "UNIQUE (job_id, submit_time))"
)
_INSERT = (
    f"INSERT INTO outcome ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) "
    "ON CONFLICT DO NOTHING"
)
_SELECT = (
    f"SELECT position, {', '.join(COLUMNS)} FROM outcome WHERE position > ? "
    "ORDER BY position LIMIT ?"
)
_INSERT_ID = "INSERT INTO log SELECT ? WHERE NOT EXISTS (SELECT 1 FROM log)"


class Log10:
    """`SQLiteOutcomeLog` of edition 1.0."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.connection = sqlite3.connect(path, timeout=10.0, isolation_level=None)
        run = self.connection.execute
        (found,) = run("PRAGMA user_version").fetchone()
        assert found in (0, 1), "edition 1.0 refuses another format"
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        if not found:
            run(_CREATE)
            run("CREATE TABLE IF NOT EXISTS log (id TEXT NOT NULL)")
            run(
                "INSERT INTO log SELECT ? WHERE NOT EXISTS (SELECT 1 FROM log)", (uuid.uuid4().hex,)
            )
            run("PRAGMA user_version = 1")
        (self.log_id,) = run("SELECT id FROM log").fetchone()

    def append(self, jobs: pl.DataFrame) -> tuple[int, int]:
        """Adds jobs; how many are new, and how many were there."""
        rows = jobs.select(COLUMNS).rows()
        self.connection.execute("BEGIN IMMEDIATE")
        before = self.connection.total_changes
        self.connection.executemany(_INSERT, rows)
        recorded = self.connection.total_changes - before
        self.connection.execute("COMMIT")
        return recorded, len(rows) - recorded

    def read_after(self, position: int, limit: int) -> tuple[list[tuple[object, ...]], int]:
        """Rows as `COLUMNS`, and where to go on."""
        rows = self.connection.execute(_SELECT, (position, limit)).fetchall()
        return [row[1:] for row in rows], rows[-1][0] if rows else position

    def last_position(self) -> int:
        (found,) = self.connection.execute("SELECT max(position) FROM outcome").fetchone()
        return int(found or 0)

    def count(self) -> int:
        (found,) = self.connection.execute("SELECT count(*) FROM outcome").fetchone()
        return int(found)

    def close(self) -> None:
        self.connection.close()
