"""Every feature, declared once: name, operation, inputs, unit, and why it should help.

Two stages share this list. Polars assembles the `INPUTS` (decoding, calendar, category codes) into
one float32 matrix; the graph computes `FEATURES` from it, with the same nodes in training and in
serving. Trees split on order alone, so monotone transforms (logarithms, roots) are left out: what
helps is what combines several inputs, or looks something up.
"""

from dataclasses import dataclass
from enum import StrEnum

from rt_predictor.history.keys import KEYS
from rt_predictor.history.windows import STATISTICS as WINDOW_STATISTICS
from rt_predictor.history.windows import WINDOW_AGE

DAY_S = 86_400.0
HOUR_S = 3_600.0
MINUTE_S = 60.0


class Op(StrEnum):
    """How a feature comes from its inputs. Missing is NaN throughout."""

    INPUT = "input"
    """The assembled column of that name."""
    LOOKUP = "lookup"
    """A learned statistic of the category whose code is the input."""
    RATIO = "ratio"
    """a / b"""
    PRODUCT = "product"
    """a * b"""
    SUM = "sum"
    """a + b"""
    REMAINDER = "remainder"
    """a modulo the constant"""
    IS_MULTIPLE = "is_multiple"
    """1 if the constant divides a, else 0"""
    IS_POWER_OF_TWO = "is_power_of_two"
    """1 if a is a power of two up to 2^23, else 0"""
    IS_MISSING = "is_missing"
    """1 if a is missing, else 0"""
    IS_EQUAL = "is_equal"
    """1 if a equals b, else 0; 0 where either is missing"""
    IS_CONSTANT = "is_constant"
    """1 if a equals the constant, else 0"""
    IF_AT_LEAST = "if_at_least"
    """a if b is at least the constant, else missing"""
    FIRST_PRESENT = "first_present"
    """The first of the inputs that is not missing"""


@dataclass(frozen=True)
class Input:
    """A column of the assembled matrix."""

    name: str
    unit: str


@dataclass(frozen=True)
class Feature:
    """A column of the matrix that the trees see."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    unit: str
    why: str
    constant: float | None = None
    statistic: str | None = None


CATEGORY_FIELDS: tuple[str, ...] = ("partition", "qos", "account")
"""Fields of a job that are encoded by what was learned of each of their values."""

MISSING_CODE = 0
UNSEEN_CODE = 1
FIRST_KNOWN_CODE = 2

STATISTICS: tuple[tuple[str, str, str], ...] = (
    ("jobs_share", "share", "how common jobs of this {field} are"),
    ("runtime_median", "s", "how long jobs of this {field} usually run"),
    ("used_median", "share", "how much of their limit jobs of this {field} usually use"),
    ("used_q90", "share", "how much of their limit the longest tenth of this {field} uses"),
    ("timeout_share", "share", "how often jobs of this {field} reach their limit"),
    ("time_req_median", "s", "the limit that jobs of this {field} usually ask for"),
    ("time_req_max", "s", "the longest limit that jobs of this {field} ask for"),
    ("time_req_mode", "s", "the commonest limit of this {field}: often its default"),
    ("processors_median", "cores", "how large jobs of this {field} usually are"),
)
"""Statistics learned of each category: name, unit, why."""

REQUEST_INPUTS: tuple[Input, ...] = (
    Input("processors_req", "cores"),
    Input("nodes_req", "nodes"),
    Input("mem_req", "MB"),
    Input("gpus_req", "GPUs"),
    Input("time_req", "s"),
    Input("second_of_day", "s"),
    Input("second_of_week", "s"),
    *(Input(f"{field}_code", "code") for field in CATEGORY_FIELDS),
)
"""What the request says, and the calendar."""

HISTORY_INPUTS: tuple[Input, ...] = tuple(
    Input(f"{key.name}_{statistic}", unit)
    for key in KEYS
    for statistic, unit, _ in (*WINDOW_STATISTICS, WINDOW_AGE)
)
"""What was known of finished jobs under each key, as `LogHistory.features` gives it."""

INPUTS: tuple[Input, ...] = (*REQUEST_INPUTS, *HISTORY_INPUTS)

_LEAST_STRANGERS = 10.0
"""Finished jobs of other users that say something of a job."""


def _request() -> tuple[Feature, ...]:
    why = {
        "processors_req": "larger jobs belong to other kinds of work than small ones",
        "nodes_req": "jobs over many nodes are other programs than jobs on one",
        "mem_req": "memory tells kinds of work apart",
        "gpus_req": "GPU jobs are other programs than CPU jobs",
        "time_req": "the limit bounds the runtime and shows what the user expects",
        "second_of_day": "test jobs are submitted by day, long ones before the night",
        "second_of_week": "long jobs are submitted before the weekend",
    }
    units = {item.name: item.unit for item in INPUTS}
    return tuple(Feature(name, Op.INPUT, (name,), units[name], text) for name, text in why.items())


def _combined() -> tuple[Feature, ...]:
    ratio, product = Op.RATIO, Op.PRODUCT
    return tuple(
        Feature(name, op, (a, b), unit, why)
        for name, op, a, b, unit, why in (
            ("processors_per_node", ratio, "processors_req", "nodes_req", "cores/node",
             "whole nodes and parts of nodes are used differently"),
            ("mem_per_processor", ratio, "mem_req", "processors_req", "MB/core",
             "memory for each core is typical of a program"),
            ("mem_per_node", ratio, "mem_req", "nodes_req", "MB/node",
             "shows whether the large-memory nodes are meant"),
            ("gpus_per_node", ratio, "gpus_req", "nodes_req", "GPUs/node",
             "whole GPU nodes and single GPUs are used differently"),
            ("gpus_per_processor", ratio, "gpus_req", "processors_req", "GPUs/core",
             "tells GPU programs from those that only touch a GPU"),
            ("time_per_processor", ratio, "time_req", "processors_req", "s/core",
             "wide short jobs and narrow long ones are different work"),
            ("time_per_node", ratio, "time_req", "nodes_req", "s/node",
             "long jobs on few nodes and short ones on many are different work"),
            ("mem_per_second", ratio, "mem_req", "time_req", "MB/s",
             "much memory for a short time is pre- or post-processing"),
            ("processor_seconds", product, "processors_req", "time_req", "core s",
             "the budget that the user puts at stake"),
            ("node_seconds", product, "nodes_req", "time_req", "node s",
             "the nodes that the user puts at stake, and for how long"),
            ("mem_seconds", product, "mem_req", "time_req", "MB s",
             "the memory that the user puts at stake, and for how long"),
            ("gpu_seconds", product, "gpus_req", "time_req", "GPU s",
             "the GPUs that the user puts at stake, and for how long"),
            ("mem_x_processors", product, "mem_req", "processors_req", "MB cores",
             "overall size of the job"),
            ("limit_second", Op.SUM, "second_of_day", "time_req", "s",
             "when the limit passes, counted from the midnight before"),
        )
    )  # fmt: skip


def _roundness() -> tuple[Feature, ...]:
    multiples = (
        ("time_is_whole_10_minutes", "time_req", 10 * MINUTE_S, "a guess, or a measured limit?"),
        ("time_is_whole_half_hours", "time_req", 30 * MINUTE_S, "a guess, or a measured limit?"),
        ("time_is_whole_hours", "time_req", HOUR_S, "round limits are guesses"),
        ("time_is_whole_6_hours", "time_req", 6 * HOUR_S, "very round limits are wild guesses"),
        ("time_is_whole_days", "time_req", DAY_S, "very round limits are wild guesses"),
        ("mem_is_whole_gb", "mem_req", 1024.0, "round sizes are guesses"),
        ("mem_is_whole_1000_mb", "mem_req", 1000.0, "round sizes are guesses"),
    )
    powers = (("processors", "cores"), ("nodes", "nodes"))
    return (
        *(
            Feature(name, Op.IS_MULTIPLE, (field,), "flag", why, constant=divisor)
            for name, field, divisor, why in multiples
        ),
        *(
            Feature(
                f"{what}_is_power_of_two",
                Op.IS_POWER_OF_TWO,
                (f"{what}_req",),
                "flag",
                f"programs that split evenly ask for powers of two of {unit}",
            )
            for what, unit in powers
        ),
        Feature(
            "time_past_hour", Op.REMAINDER, ("time_req",), "s",
            "minutes on top of whole hours show care", constant=HOUR_S,
        ),
        Feature(
            "limit_second_of_day", Op.REMAINDER, ("limit_second",), "s",
            "limits that end before the morning are meant for the night", constant=DAY_S,
        ),
    )  # fmt: skip


def _missing() -> tuple[Feature, ...]:
    numbers = ("processors_req", "nodes_req", "mem_req", "gpus_req", "time_req")
    why = "what a user leaves out is a habit too"
    return (
        *(Feature(f"{n}_missing", Op.IS_MISSING, (n,), "flag", why) for n in numbers),
        *(
            Feature(
                f"{field}_missing", Op.IS_CONSTANT, (f"{field}_code",), "flag", why,
                constant=MISSING_CODE,
            )
            for field in CATEGORY_FIELDS
        ),
        *(
            Feature(
                f"{field}_unseen", Op.IS_CONSTANT, (f"{field}_code",), "flag",
                f"a new or rare {field} behaves like other new ones", constant=UNSEEN_CODE,
            )
            for field in CATEGORY_FIELDS
        ),
    )  # fmt: skip


def _categories() -> tuple[Feature, ...]:
    found: list[Feature] = []
    for field in CATEGORY_FIELDS:
        found.extend(
            Feature(
                f"{field}_{statistic}", Op.LOOKUP, (f"{field}_code",), unit,
                why.format(field=field), statistic=statistic,
            )
            for statistic, unit, why in STATISTICS
        )  # fmt: skip
        found.extend(
            (
                Feature(
                    f"{field}_expected_runtime", Op.PRODUCT, ("time_req", f"{field}_used_median"),
                    "s", f"the limit, times the share of it that this {field} usually uses",
                ),
                Feature(
                    f"time_to_{field}_median", Op.RATIO, ("time_req", f"{field}_time_req_median"),
                    "ratio", f"asks for more or less time than others of this {field}",
                ),
                Feature(
                    f"time_to_{field}_max", Op.RATIO, ("time_req", f"{field}_time_req_max"),
                    "ratio", "who asks for all there is does not know",
                ),
                Feature(
                    f"time_is_{field}_mode", Op.IS_EQUAL, ("time_req", f"{field}_time_req_mode"),
                    "flag", "who takes the default does not know",
                ),
                Feature(
                    f"processors_to_{field}_median", Op.RATIO,
                    ("processors_req", f"{field}_processors_median"),
                    "ratio", f"larger or smaller than others of this {field}",
                ),
            )
        )  # fmt: skip
    return tuple(found)


def _history() -> tuple[Feature, ...]:
    """Windows of finished jobs, and what the first key that has any says."""
    windows = (
        Feature(
            f"{key.name}_{statistic}", Op.INPUT, (f"{key.name}_{statistic}",), unit,
            why.format(why=key.why),
        )
        for key in KEYS
        for statistic, unit, why in (*WINDOW_STATISTICS, WINDOW_AGE)
    )  # fmt: skip
    return (*windows, *_backoff("median5", "what the most alike finished jobs usually took"),
            *_backoff("last", "what the most alike finished job took"),
            Feature(
                f"{BACKOFF_MEDIAN}_to_time", Op.RATIO, (BACKOFF_MEDIAN, "time_req"), "ratio",
                "the share of their limit that the most alike finished jobs used",
            ))  # fmt: skip


def _backoff(statistic: str, why: str) -> tuple[Feature, ...]:
    """A statistic of the most specific key that has any finished job, or enough of strangers."""
    strangers = f"partition_time_{statistic}"
    keys = ("user_size_time", "user_time", "user")
    return (
        Feature(
            f"{strangers}_of_many", Op.IF_AT_LEAST, (strangers, "partition_time_runs"), "s",
            "what jobs with the same limit there took, where there are many",
            constant=_LEAST_STRANGERS,
        ),
        Feature(
            f"backoff_{statistic}", Op.FIRST_PRESENT,
            (*(f"{key}_{statistic}" for key in keys), f"{strangers}_of_many"), "s", why,
        ),
    )  # fmt: skip


BACKOFF_MEDIAN = "backoff_median5"
BACKOFF_LAST = "backoff_last"
"""Features that say by themselves how long a job will run."""

REQUEST_FEATURES: tuple[Feature, ...] = (
    *_request(),
    *_combined(),
    *_roundness(),
    *_missing(),
    *_categories(),
)
"""Features of the request alone: neither users nor finished jobs."""

FEATURES: tuple[Feature, ...] = (*REQUEST_FEATURES, *_history())
"""All features, in the order of the columns that the trees see."""
