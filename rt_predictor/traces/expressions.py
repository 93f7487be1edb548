"""Polars expressions that read the texts of job logs. Text that does not fit gives null.

Units: seconds (UTC epoch for times), MB (MiB) and counts for the whole job.
"""

import polars as pl

DAY_S = 86400.0
HOUR_S = 3600.0
MINUTE_S = 60.0

_SPAN = r"^(?:(?P<d>\d+)-)?(?P<x>\d+)(?::(?P<y>\d+))?(?::(?P<z>\d+))?(?P<f>\.\d+)?$"
_MEMORY = r"(?i)^(?P<amount>\d+(?:\.\d*)?|\.\d+)(?:(?P<unit>[KMGTP])(?:i?B)?)?(?P<per>[nc?])?$"
_MEMORY_UNIT_MB = {"K": 2.0**-10, "M": 1.0, "G": 2.0**10, "T": 2.0**20, "P": 2.0**30}
_COUNT = r"^(?P<amount>\d+(?:\.\d+)?)(?P<unit>[KMG])?$"
_COUNT_UNIT = {"K": 2.0**10, "M": 2.0**20, "G": 2.0**30}

_GPUS_ASKED = r"(?:^|,)(?:gres[:/])?gpu(?:[:=][^,]*)?"
_PER_CPU_FLAG = r"^\d{10}M?n$"
_PER_CPU_FLAG_MB = 2.0**31
"""Slurm keeps "per CPU" as the top bit of a memory request. Some versions of sacct print the bit
as part of the number, and say "per node": 2147486448Mn is 2800 MB per CPU."""


def words_to_null(text: pl.Expr, words: frozenset[str]) -> pl.Expr:
    """Null in place of any of the (upper-case) words, in any case; "" is one of them always."""
    return pl.when(~text.str.to_uppercase().is_in([*sorted(words), ""])).then(text)


def number(text: pl.Expr) -> pl.Expr:
    """A finite decimal number."""
    value = text.cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value)


def count(text: pl.Expr) -> pl.Expr:
    """A count as Slurm prints it: plain, or with K, M or G for powers of 1024."""
    factor = pl.field("unit").replace_strict(_COUNT_UNIT, default=1.0, return_dtype=pl.Float64)
    return _from_groups(text, _COUNT, _group("amount") * factor)


def span_s(text: pl.Expr, bare_unit_s: float) -> pl.Expr:
    """A span of time: [D-]HH:MM:SS[.f], MM:SS, D-HH, D-HH:MM, or a bare number of `bare_unit_s`.

    The forms of https://slurm.schedmd.com/sbatch.html#OPT_time and of sacct's elapsed times.
    """
    days, x = _group("d"), _group("x")
    y, z, fraction = (_group(name).fill_null(0.0) for name in ("y", "z", "f"))
    seconds = (
        pl.when(days.is_not_null())
        .then(days * DAY_S + x * HOUR_S + y * MINUTE_S + z + fraction)
        .when(pl.field("z").is_not_null())
        .then(x * HOUR_S + y * MINUTE_S + z + fraction)
        .when(pl.field("y").is_not_null())
        .then(x * MINUTE_S + y + fraction)
        .otherwise((x + fraction) * bare_unit_s)
    )
    return _from_groups(text, _SPAN, seconds)


def memory_amount_mb(text: pl.Expr) -> pl.Expr:
    """The amount of a memory request, in MB per whatever its suffix says; bare numbers are MB."""
    factor = (
        pl.field("unit")
        .str.to_uppercase()
        .replace_strict(_MEMORY_UNIT_MB, default=1.0, return_dtype=pl.Float64)
    )
    return _from_groups(text, _MEMORY, _group("amount") * factor)


def _from_groups(text: pl.Expr, pattern: str, value: pl.Expr) -> pl.Expr:
    """`value`, in terms of the groups of the pattern; null where the text does not match.

    The groups stay one struct, or Polars would run the pattern again for each use of a group.
    """
    groups = text.str.extract_groups(pattern)
    return groups.struct.with_fields(value.alias("value")).struct.field("value")


def _group(name: str) -> pl.Expr:
    return pl.field(name).cast(pl.Float64)


def memory_per(text: pl.Expr) -> pl.Expr:
    """Return the scope of a memory request: "n" (each node), "c" (each CPU), "flagged" (each CPU,
    if the amount has the flag in it, else each node); anything else is the whole job."""
    last = text.str.slice(-1).str.to_lowercase()
    return pl.when(text.str.contains(_PER_CPU_FLAG)).then(pl.lit("flagged")).otherwise(last)


def whole_job_mb(amount: pl.Expr, per: pl.Expr, nodes: pl.Expr, cpus: pl.Expr) -> pl.Expr:
    """Memory of the whole job, from `memory_amount_mb` and `memory_per` of a request.

    Null also where it takes a number of nodes or CPUs that is null.
    """
    has_flag = amount.is_between(_PER_CPU_FLAG_MB, 2 * _PER_CPU_FLAG_MB, closed="left")
    return (
        pl.when((per == "flagged") & has_flag)
        .then((amount - _PER_CPU_FLAG_MB) * cpus)
        .when((per == "n") | (per == "flagged"))
        .then(amount * nodes)
        .when(per == "c")
        .then(amount * cpus)
        .otherwise(amount)
    )


def tres_amount(tres: pl.Expr, resource: str) -> pl.Expr:
    """The text of one amount of a TRES list: "4000M" of "cpu=2,mem=4000M" for "mem"."""
    return tres.str.extract(rf"(?:^|,){resource}=([^,]+)")


def tres_gpus(tres: pl.Expr) -> pl.Expr:
    """GPUs of a TRES list: gres/gpu=2, else the sum of gres/gpu:type=2; 0 where it names none."""
    total = tres_amount(tres, "gres/gpu").cast(pl.Float64, strict=False)
    typed = tres.str.extract_all(r"(?:^|,)gres/gpu:[^=,]+=\d+").list.eval(
        pl.element().str.extract(r"=(\d+)$").cast(pl.Float64)
    )
    # An empty sum is -0.0; adding 0.0 drops the sign.
    return pl.coalesce(total, typed.list.sum() + 0.0)


def requested_gpus(text: pl.Expr) -> pl.Expr:
    """GPUs that a request such as "gres:gpu:2" or "gres/gpu:a100" names; null where it has none."""
    found = text.str.extract_all(_GPUS_ASKED)
    count = pl.element().str.extract(r"[:=](\d+)(?:\(.*)?$").cast(pl.Float64).fill_null(1.0)
    total = found.list.eval(count).list.sum()
    return pl.when(total > 0).then(total)


def gpu_type(text: pl.Expr) -> pl.Expr:
    """The kind of the first GPU that a request names: a100 of "gres/gpu:a100=2" or "gpu:a100:2"."""
    in_tres = text.str.extract(r"gres/gpu:([^=:,]+)=")
    # In "gres:gpu:2" the number is a count.
    in_request = text.str.extract(r"(?:^|,)(?:gres[:/])?gpu:([^=:,(]*[A-Za-z_][^=:,(]*)")
    return pl.coalesce(in_tres, in_request)


def timestamp_s(text: pl.Expr, timezone: str, bare_unit_s: float = 1.0) -> pl.Expr:
    """A point in time as UTC epoch seconds: YYYY-MM-DD[T ]HH:MM:SS[.f][zone], or an epoch number.

    Times without a zone are local to `timezone`. The hour that comes twice in autumn is taken as
    the first; a time in the hour that spring leaves out, as if the clock had not been changed.
    """
    iso = text.str.replace(" ", "T", literal=True)
    plain = iso.str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False)
    # The formats below are ten times slower to read, and rare.
    other = pl.when(plain.is_null()).then(iso)
    fractional = other.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
    zoned = other.str.to_datetime(
        "%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="us", time_zone="UTC", strict=False
    )
    local_us = local_to_utc_us(pl.coalesce(plain, fractional), timezone)
    utc_us = pl.coalesce(local_us, zoned.dt.epoch("us").cast(pl.Float64))
    return pl.coalesce(utc_us / 1e6, number(other) * bare_unit_s)


def local_to_utc_us(local: pl.Expr, timezone: str) -> pl.Expr:
    """Microseconds since the epoch of a naive datetime that is local to `timezone`."""

    def in_zone(naive: pl.Expr) -> pl.Expr:
        zoned = naive.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")
        return zoned.dt.epoch("us").cast(pl.Float64)

    return pl.coalesce(in_zone(local), in_zone(local.dt.offset_by("1h")))
