"""What the Grafana dashboard shows: rows of panels, and the PromQL of each; see dashboard.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Step = tuple[float | None, str]
"""The value from which a colour holds; None for the first."""

_P50, _P90, _P99 = 0.5, 0.9, 0.99


def series(name: str, **labels: str) -> str:
    """A metric of the chosen instances; a name with a colon is a recording rule."""
    chosen = ['job="rt-predictor"', 'instance=~"$instance"']
    chosen += [f'{label}="{value}"' for label, value in labels.items()]
    return f"rt_predictor{name if name[0] == ':' else f'_{name}'}{{{', '.join(chosen)}}}"


def total(name: str, by: str = "instance") -> str:
    """The sum of a gauge."""
    return f"sum by ({by}) ({series(name)})"


def greatest(name: str, by: str = "instance") -> str:
    """The greatest value of a gauge."""
    return f"max by ({by}) ({series(name)})"


def rate(name: str, by: str = "instance") -> str:
    """How much a counter grows in a second."""
    return f"sum by ({by}) (rate({series(name)}[$__rate_interval]))"


def increase(name: str, by: str = "instance") -> str:
    """How much a counter has grown since the point before."""
    return f"sum by ({by}) (increase({series(name)}[$__rate_interval]))"


def remaining(credential: str) -> str:
    """Time until a kind of credential expires; several of one name: until the first does."""
    expiry = series(f"{credential}_expiry_timestamp_seconds")
    return f"min by (instance, {credential}) ({expiry}) - time()"


def quantile(share: float, histogram: str, **labels: str) -> str:
    """A quantile of a histogram over all chosen instances."""
    buckets = series(f"{histogram}_bucket", **labels)
    return f"histogram_quantile({share}, sum by (le) (rate({buckets}[$__rate_interval])))"


def _alike() -> str:
    """How many answers of a second lie within 0.9 to 1.1 times the one that was served."""
    within, below = (
        f"sum by (instance) (rate({series('shadow_answer_ratio_bucket', le=edge)}"
        "[$__rate_interval]))"
        for edge in ("1.1", "0.9")
    )
    return f"({within} - {below})"


def _refused() -> str:
    """Calls that were turned away for who made them, by reason."""
    calls = series("rejected_calls_total")
    kinds = 'reason=~"unauthenticated|forbidden|client_limit|idle"'
    return f"sum by (reason) (rate({calls[:-1]}, {kinds}}}[$__rate_interval]))"


@dataclass(frozen=True)
class Query:
    """A line, or a cell; the legend may name labels in double braces."""

    expr: str
    legend: str = "{{instance}}"


@dataclass(frozen=True)
class Panel:
    """What is shown in one place."""

    title: str
    text: str
    queries: Sequence[Query]
    unit: str = "short"
    kind: Literal["timeseries", "stat", "table"] = "timeseries"
    width: int = 8
    height: int = 8
    colours: Sequence[Step] = ((None, "green"),)


def stat(title: str, text: str, expr: str, unit: str, *colours: Step) -> Panel:
    """A small panel with the latest value."""
    return Panel(title, text, (Query(expr),), unit, "stat", width=4, height=4, colours=colours)


def table(title: str, text: str, expr: str) -> Panel:
    """The labels of series whose value says nothing."""
    return Panel(title, text, (Query(expr),), kind="table")


_DAY_S = 86_400
_REQUEST_TIME = "request_duration_seconds"
_RUN_TIME = "prediction_duration_seconds"

ROWS: dict[str, Sequence[Panel]] = {
    "Now": (
        stat(
            "Workers", "Workers that serve, of those that there should be.",
            f"{total('workers_up')} / {total('workers_wanted')}",
            "percentunit", (None, "red"), (1, "green"),
        ),
        stat(
            "Calls", "Calls that ended, a second.",
            f"sum by (instance) ({series(':requests:rate5m')})", "reqps", (None, "text"),
        ),
        stat(
            "Predict, p99", "Time in the server of 99 in 100 single predictions.",
            series(f":{_REQUEST_TIME}:p99_5m", method="Predict"),
            "s", (None, "green"), (0.02, "yellow"), (0.05, "red"),
        ),
        stat(
            "Failed calls", "Share of calls that failed through no fault of the client's.",
            series(":request_failures:ratio_rate5m"),
            "percentunit", (None, "green"), (0.001, "yellow"), (0.01, "red"),
        ),
        stat(
            "In progress", "Share of the calls that may be in progress at once.",
            series(":saturation:ratio"),
            "percentunit", (None, "green"), (0.5, "yellow"), (0.8, "red"),
        ),
        stat(
            "Age of the model", "Time since it was trained.", series(":model_age:seconds"),
            "s", (None, "green"), (60 * _DAY_S, "yellow"), (90 * _DAY_S, "red"),
        ),
    ),
    "Calls": (
        Panel(
            "Calls by method", "Calls that ended, a second.",
            (Query(rate("requests_total", "method"), "{{method}}"),), "reqps",
        ),
        Panel(
            "Calls by status", "gRPC statuses, OK included.",
            (Query(rate("requests_total", "status"), "{{status}}"),), "reqps",
        ),
        Panel(
            "Jobs predicted", "By whatever call; and how many one run of the model had.",
            (
                Query(rate("predictions_total"), "a second, {{instance}}"),
                Query(
                    f"{rate('batch_jobs_sum')} / {rate('batch_jobs_count')}", "a run, {{instance}}"
                ),
            ),
        ),
        Panel(
            "Predict: time in the server", "From the call's arrival to its answer.",
            [
                Query(quantile(share, _REQUEST_TIME, method="Predict"), f"p{share * 100:.0f}")
                for share in (_P50, _P90, _P99)
            ],
            "s",
        ),
        Panel(
            "p99 by method", "Streams count with their whole life.",
            (Query(greatest(f":{_REQUEST_TIME}:p99_5m", "method"), "{{method}}"),), "s",
        ),
        Panel(
            "One run of the model", "Features included, for all jobs of that run.",
            [Query(quantile(share, _RUN_TIME), f"p{share * 100:.0f}") for share in (_P50, _P99)],
            "s",
        ),
    ),
    "Errors and limits": (
        Panel(
            "Calls turned away", "By reason.",
            (Query(rate("rejected_calls_total", "reason"), "{{reason}}"),), "reqps",
        ),
        Panel(
            "Invalid jobs", "By the first field that breaks a rule; only fields that have any.",
            (Query(f"{rate('invalid_jobs_total', 'field')} > 0", "{{field}}"),),
        ),
        Panel(
            "Unforeseen errors", "Each one is in the log, with a traceback.",
            (Query(increase("internal_errors_total")),),
        ),
        Panel(
            "Calls in progress", "And how many there may be.",
            (
                Query(total("active_connections")),
                Query(total("max_concurrent_calls"), "limit, {{instance}}"),
            ),
        ),
        Panel(
            "Jobs in flight", "With the model, or waiting for a thread to run it.",
            (Query(total("jobs_in_flight")),),
        ),
        Panel(
            "Workers", "That serve, that there should be, that died, and of those that hung.",
            (
                Query(total("workers_up"), "up, {{instance}}"),
                Query(total("workers_wanted"), "wanted, {{instance}}"),
                Query(increase("worker_restarts_total"), "died, {{instance}}"),
                Query(increase("hung_workers_total"), "hung, {{instance}}"),
            ),
        ),
    ),
    "Security": (
        Panel(
            "Refused callers", "Calls without credentials that are known, without the role, beyond "
            "the limits of a client, and idle streams; a second.",
            (Query(_refused(), "{{reason}}"),), "reqps",
        ),
        Panel(
            "Certificates expire in", "The one in use, and the first of the clients' CAs; and "
            "whether renewed files cannot be used (1).",
            (
                Query(remaining("certificate"), "{{certificate}}, {{instance}}"),
                Query(greatest("certificate_not_renewed"), "not renewed, {{instance}}"),
            ),
            "s",
        ),
        Panel(
            "Tokens expire in", "Those that do at all, by their name in the settings.",
            (Query(remaining("token"), "{{token}}, {{instance}}"),), "s",
        ),
    ),
    "How good it is": (
        Panel(
            "Coverage",
            "Share of recent jobs within their interval, by level, and the band that is watched.",
            (
                Query(greatest("live_coverage", "level"), "{{level}}"),
                Query(greatest("watched_coverage_least", "level"), "at least, {{level}}"),
                Query(greatest("watched_coverage_greatest", "level"), "at most, {{level}}"),
            ),
            "percentunit",
        ),
        Panel(
            "Error", "Mean error of recent jobs, and of later jobs at training.",
            (
                Query(greatest("live_mae_seconds"), "recent jobs, {{instance}}"),
                Query(greatest("trained_mae_seconds"), "at training, {{instance}}"),
            ),
            "s",
        ),
        Panel(
            "Drift", "Population stability index, by group; above 0.25 jobs are unlike training.",
            (Query(greatest("live_drift", "group"), "{{group}}"),),
        ),
        Panel(
            "Accuracy", "Mean of min(p, r) / max(p, r) of recent jobs, and at training.",
            (
                Query(greatest("live_accuracy"), "recent jobs, {{instance}}"),
                Query(greatest("trained_accuracy"), "at training, {{instance}}"),
            ),
            "percentunit",
        ),
        Panel(
            "Interval score", "Of late, by level; lower is better.",
            (Query(greatest("live_interval_score_seconds", "level"), "{{level}}"),), "s",
        ),
        Panel(
            "Underestimated",
            "Share of recent jobs that ran longer than predicted, and at training.",
            (
                Query(greatest("live_underestimated"), "recent jobs, {{instance}}"),
                Query(greatest("trained_underestimated"), "at training, {{instance}}"),
            ),
            "percentunit",
        ),
    ),
    "Shadow model": (
        Panel(
            "Error of both",
            "Mean error of recent jobs: of the model that serves, and of the candidate.",
            (
                Query(greatest("live_mae_seconds"), "serves, {{instance}}"),
                Query(greatest("shadow_mae_seconds"), "shadow, {{instance}}"),
            ),
            "s",
        ),
        Panel(
            "Coverage of both", "Share of recent jobs within their 90 % interval.",
            (
                Query(f"max by (instance) ({series('live_coverage', level='0.9')})", "serves"),
                Query(f"max by (instance) ({series('shadow_coverage', level='0.9')})", "shadow"),
            ),
            "percentunit",
        ),
        Panel(
            "Interval score of both", "Of 90 % intervals of recent jobs; lower is better.",
            (
                Query(
                    f"max by (instance) ({series('live_interval_score_seconds', level='0.9')})",
                    "serves",
                ),
                Query(
                    f"max by (instance) ({series('shadow_interval_score_seconds', level='0.9')})",
                    "shadow",
                ),
            ),
            "s",
        ),
        Panel(
            "Answers that differ", "Share of predictions of which the candidate's is not within "
            "0.9 to 1.1 times the one that was served.",
            (Query(f"1 - {_alike()} / {rate('shadow_answer_ratio_count')}", "{{instance}}"),),
            "percentunit",
        ),
        Panel(
            "Jobs compared", "A second: sent to the candidate, dropped as it was busy or gone, "
            "and failed on.",
            (
                Query(rate("shadow_samples_total", "result"), "{{result}}"),
                Query(rate("shadow_failures_total"), "failed"),
            ),
        ),
        Panel(
            "Outcomes to come", "Events of the log that the candidate has not seen yet: until it "
            "has, its figures are of other jobs.",
            (Query(greatest("shadow_lag_events")),),
        ),
    ),
    "Predictions and history": (
        Panel(
            "Less certain predictions", "Share of predictions with each flag.",
            (
                Query(
                    f"{rate('prediction_flags_total', 'flag')} / on () group_left () "
                    f"sum(rate({series('predictions_total')}[$__rate_interval]))",
                    "{{flag}}",
                ),
            ),
            "percentunit",
        ),
        Panel(
            "Outcomes", "Finished jobs that clients have sent, a second.",
            (Query(rate("outcomes_total", "result"), "{{result}}"),),
        ),
        Panel(
            "History lag", "Time since memory was last known to hold all of the outcome log.",
            (Query(greatest("history_lag_seconds")),), "s",
        ),
        Panel(
            "Jobs in memory", "Of one worker; and the keys that they are found by.",
            (
                Query(greatest("history_events"), "jobs, {{instance}}"),
                Query(greatest("history_keys"), "keys, {{instance}}"),
            ),
        ),
        Panel(
            "Time of a commit", "To the outcome log, on average.",
            (
                Query(
                    f"{rate('history_commit_seconds_total')} / {rate('history_commits_total')}"
                ),
            ),
            "s",
        ),
        Panel(
            "Trouble with the outcome log", "Failed reads and writes, and damaged logs set aside.",
            (
                Query(increase("history_errors_total"), "errors, {{instance}}"),
                Query(greatest("history_damaged_logs"), "damaged, {{instance}}"),
            ),
        ),
    ),
    "Processes": (
        Panel(
            "Resident memory", "By worker.",
            (Query(series("resident_memory_bytes"), "{{instance}} {{worker}}"),), "bytes",
        ),
        Panel(
            "Time since start", "By worker; a fall is a restart.",
            (Query(f"time() - {series('start_time_seconds')}", "{{instance}} {{worker}}"),), "s",
        ),
        Panel(
            "Memory that history takes", "Of one worker.",
            (Query(greatest("history_memory_bytes")),), "bytes",
        ),
        table("Models", "What is loaded.", series("model_info")),
        table("Versions", "Of the program and of what it runs on.", series("build_info")),
        Panel(
            "Events behind", "Events of the outcome log that are not folded yet.",
            (Query(greatest("history_lag_events")),),
        ),
        Panel(
            "Reloads of the model", "Loaded, unchanged (nothing to load), or failed: the old one "
            "stays.",
            (Query(increase("model_reloads_total", "result"), "{{result}}"),),
        ),
    ),
}  # fmt: skip
