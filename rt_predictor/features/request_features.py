"""Features of an asked job as a whole, declared as differences of named quantities.

Quantities are logarithms, shares or flags. A feature is one of them, or how far one lies above
another, times a scale; where either is missing it is 0. Sizes are measured by those of the user's
and the site's jobs, so that nothing belongs to one site.
"""

from dataclasses import dataclass
from datetime import tzinfo

import numpy as np

from rt_predictor.features.asked import JOBS_AT_ONCE, Asked
from rt_predictor.features.calendar import CALENDAR, calendar
from rt_predictor.features.proposals import PROPOSALS, SPREADS, Proposed
from rt_predictor.features.scalars import scalar
from rt_predictor.features.site import SITE_FIGURES
from rt_predictor.features.token_features import TOKEN_FEATURES, TYPICAL_LOG_S
from rt_predictor.history.asked_tokens import AskedTokens
from rt_predictor.history.columns import COLUMN, Float
from rt_predictor.history.in_flight import IN_FLIGHT
from rt_predictor.history.token_keys import NO_ROW, SLOTS, TOKEN_KEYS, slots_of

BOUND = 8.0
"""Features are cut at plus and minus so much."""

TOKEN_KINDS: tuple[str, ...] = (*(key.name for key in TOKEN_KEYS), "running")

ROUND: tuple[tuple[str, float], ...] = (
    ("whole_10_minutes", 600.0),
    ("whole_half_hours", 1800.0),
    ("whole_hours", 3600.0),
    ("whole_days", 86400.0),
)
"""Limits that are multiples of so many s are guesses."""

_SIZES = ("log_limit", "log_cores", "log_nodes", "log_mem", "log_gpus")
WATCHED_IN_FLIGHT: tuple[str, ...] = ("running", "elapsed_alike", "elapsed")
"""Figures in flight of which a flag says whether they are known."""

_NAMES = ("partition", "qos", "account", "user", "name", "gpu_type", "array")

GROUPS: dict[str, tuple[str, ...]] = {
    "constants": ("nothing", "typical"),
    "sizes": _SIZES,
    "missing": tuple(f"{name}_missing" for name in (*_SIZES, *_NAMES)),
    "round": tuple(name for name, _ in ROUND),
    "calendar": CALENDAR,
    "site": SITE_FIGURES,
    "scale": ("scale",),
    "own": tuple(f"own_{feature.name}" for feature in TOKEN_FEATURES),
    "tokens": tuple(f"{kind}_tokens" for kind in TOKEN_KINDS),
    "in_flight": tuple(f"{name}_now" for name, _, _ in IN_FLIGHT),
    "proposals": tuple(proposal.name for proposal in PROPOSALS),
    "spreads": tuple(name for name, _, _ in SPREADS),
    "told": ("in_flight_known", "elapsed_alike_known", "elapsed_known"),
    "proposed": tuple(f"{proposal.name}_known" for proposal in PROPOSALS),
}
"""Quantities by group, in the order of their columns."""

QUANTITIES: tuple[str, ...] = tuple(name for group in GROUPS.values() for name in group)


@dataclass(frozen=True)
class RequestFeature:
    """One column: (`above` - `below`) * `scale`."""

    name: str
    unit: str
    why: str
    above: str
    below: str = "nothing"
    scale: float = 1.0


def _request() -> tuple[RequestFeature, ...]:
    feature = RequestFeature
    return (
        feature("scale", "log s", "the limit, else what jobs here usually take: what is possible",
                "scale", "typical", 1 / 2),
        feature("cores", "log count", "larger jobs are other work than small ones",
                "log_cores", scale=1 / 3),
        feature("nodes", "log count", "jobs over many nodes are other programs",
                "log_nodes", scale=1 / 2),
        feature("gpus", "log count", "GPU jobs are other programs", "log_gpus"),
        feature("mem_per_core", "log ratio", "memory for each core is typical of a program",
                "log_mem", "log_cores", 1 / 5),
        feature("cores_per_node", "log ratio", "whole nodes and parts of nodes are used apart",
                "log_cores", "log_nodes", 1 / 3),
        *(feature(name, "flag", "what a user leaves out is a habit too", name)
          for name in GROUPS["missing"]),
        *(feature(name, "flag", "round limits are guesses", name) for name, _ in ROUND),
        feature("sin_day", "sine", "test jobs run by day, long ones at night", "sin_day"),
        feature("cos_day", "cosine", "test jobs run by day, long ones at night", "cos_day"),
        feature("weekend", "flag", "long jobs are left for the weekend", "weekend"),
    )  # fmt: skip


def _site() -> tuple[RequestFeature, ...]:
    feature = RequestFeature
    return (
        feature("site_runtime_to_scale", "log ratio", "what jobs here take, of this limit",
                "site_log_runtime", "scale", 1 / 2),
        feature("site_runtime", "log s", "sites of short and of long jobs are different",
                "site_log_runtime", "typical", 1 / 2),
        *(feature(f"{name[4:]}_to_site", "log ratio", "large or small as jobs here go",
                  name, f"site_{name}", 1 / 2) for name in _SIZES),
        feature("site_at_limit", "share", "where many reach their limits, limits are tight",
                "site_at_limit"),
        feature("site_known", "flag", "nothing is known of a new site", "site_known"),
    )  # fmt: skip


def _user() -> tuple[RequestFeature, ...]:
    feature = RequestFeature
    return (
        *(feature(f"own_{token.name}", token.unit, f"mean of the user's last jobs: {token.why}",
                  f"own_{token.name}") for token in TOKEN_FEATURES),
        feature("own_spread", "log ratio", "how regular the user is", "own_upper", "own_lower"),
        feature("request_spread", "log ratio", "how regular such jobs of the user are",
                "request_upper", "request_lower"),
        feature("request_range", "log ratio", "how far apart such jobs of the user are",
                "request_most", "request_least", 1 / 2),
        *(feature(name, "log count", "how much there is to go by", name)
          for name in GROUPS["tokens"]),
        *(feature(f"{name}_now", "log count", "jobs of one campaign run alike", f"{name}_now",
                  scale=1 / 2) for name, unit, _ in IN_FLIGHT if unit == "count"),
        *(feature(f"{name}_now", "log ratio", "so long one of them has run already",
                  f"{name}_now", "scale", 1 / 3) for name, unit, _ in IN_FLIGHT if unit == "s"),
        *(feature(name, "flag", "nothing in flight, or nothing known of it?", name)
          for name in GROUPS["told"]),
    )  # fmt: skip


def _rules() -> tuple[RequestFeature, ...]:
    feature = RequestFeature
    return (
        *(feature(rule.name, "log ratio", rule.why, rule.name, "scale") for rule in PROPOSALS),
        *(feature(name, "flag", "whether this rule says anything", name)
          for name in GROUPS["proposed"]),
    )  # fmt: skip


REQUEST_FEATURES: tuple[RequestFeature, ...] = (*_request(), *_site(), *_user(), *_rules())


def _columns_of_groups() -> dict[str, slice]:
    columns, first = {}, 0
    for name, members in GROUPS.items():
        columns[name] = slice(first, first + len(members))
        first += len(members)
    return columns


_COLUMN = {name: column for column, name in enumerate(QUANTITIES)}
_COLUMNS = _columns_of_groups()
_SCALE, _SITE_RUNTIME, _LIMIT = (
    _COLUMN[name] for name in ("scale", "site_log_runtime", "log_limit")
)
_CONSTANTS = np.tile(np.array([0, TYPICAL_LOG_S], dtype=np.float32), (JOBS_AT_ONCE, 1))
_ANCHORS = np.array([_COLUMN[name] for name in ("typical", "backoff_median5", "user_median5")])
_HISTORY = slice(_COLUMNS["tokens"].start, _COLUMNS["spreads"].stop)
_FLAGS = slice(_COLUMNS["told"].start, _COLUMNS["proposed"].stop)
_FLAGGED = np.array(
    [_COLUMN[f"{name}_now"] for name in WATCHED_IN_FLIGHT]
    + [_COLUMN[proposal.name] for proposal in PROPOSALS]
)
"""Quantities of which `_FLAGS` say whether they are known."""

_SIDES = np.array(
    [
        [_COLUMN[feature.above] for feature in REQUEST_FEATURES],
        [_COLUMN[feature.below] for feature in REQUEST_FEATURES],
    ]
)
_SCALES = np.array([feature.scale for feature in REQUEST_FEATURES], dtype=np.float32)
_ROUND_S = np.array([seconds for _, seconds in ROUND])
_ASKED_SIZES = slice(COLUMN["log_limit"], COLUMN["log_gpus"] + 1)
_OWN = slots_of("own")
_ZERO, _ONE, _LEAST, _MOST = (scalar(value) for value in (0, 1, -BOUND, BOUND))
_ZERO_S, _NO_ROW = np.array(0.0), np.array(NO_ROW, dtype=np.int32)
_OF_KIND = np.zeros((SLOTS, len(TOKEN_KINDS)), dtype=np.float32)
for _column, _kind in enumerate(TOKEN_KINDS):
    _OF_KIND[slots_of(_kind), _column] = 1


def request_quantities(asked: Asked, missing: Float, site: Float, zone: tzinfo) -> Float:
    """Return the quantities of n jobs: [n, len(QUANTITIES)]; those of history are not yet written.

    Args:
        asked: [n] the jobs, at most `JOBS_AT_ONCE`.
        missing: `missing_columns` of them.
        site: [n, len(SITE_FIGURES)].
        zone: time zone of the site.
    """
    jobs = len(missing)
    quantities = np.empty((jobs, len(QUANTITIES)), dtype=np.float32)
    parts = (
        _CONSTANTS[:jobs],
        asked.columns[:, _ASKED_SIZES],
        missing[:, : len(GROUPS["missing"])],
        np.fmod(asked.limit_s[:, None], _ROUND_S) == _ZERO_S,
        calendar(asked.submit_s, zone),
        site,
    )
    np.concatenate(parts, axis=1, out=quantities[:, :_SCALE], casting="same_kind")
    scale = quantities[:, _SCALE]
    scale[:] = quantities[:, _SITE_RUNTIME]
    np.copyto(scale, quantities[:, _LIMIT], where=missing[:, 0] == _ZERO)
    return quantities


def scale_of(quantities: Float) -> Float:
    """Return the logarithm of what runtimes are measured by: [n]; the limit, else the site's."""
    return quantities[:, _SCALE]


def anchors_of(quantities: Float) -> Float:
    """Return what runtimes of tokens are compared with, as `put_numbers` takes it: [n, 3]."""
    return quantities.take(_ANCHORS, axis=1)


def count_kinds(tokens: AskedTokens) -> Float:
    """Return how many tokens there are of each kind: [n, len(TOKEN_KINDS)]."""
    counted: Float = (tokens.rows > _NO_ROW).astype(np.float32).dot(_OF_KIND)
    return counted


def put_history(
    quantities: Float, tokens: AskedTokens, counted: Float, proposed: Proposed
) -> Float:
    """Write how much is known, what is in flight and what rules propose.

    Returns the logarithms of age and gap of the tokens: [n, 2, SLOTS], NaN for none.
    """
    runtimes_s, spreads_s = proposed
    from_0 = (tokens.age_s, tokens.gap_s, counted, tokens.in_flight)
    logs = np.concatenate([*from_0, runtimes_s, spreads_s], axis=1)
    from_1 = logs[:, -len(PROPOSALS) - len(SPREADS) :]
    from_1 -= _ONE
    np.maximum(logs, _ZERO, out=logs)
    logs += _ONE
    np.log(logs, out=logs)
    quantities[:, _HISTORY] = logs[:, 2 * SLOTS :]
    flagged = quantities.take(_FLAGGED, axis=1)
    quantities[:, _FLAGS] = np.equal(flagged, flagged)
    return logs[:, : 2 * SLOTS].reshape(-1, 2, SLOTS)


def put_habits(quantities: Float, features: Float, counted: Float) -> None:
    """Write the means of features [n, len(TOKEN_FEATURES), SLOTS] over the user's last jobs."""
    own = features[:, :, _OWN].transpose(2, 0, 1).copy()
    # In the order in which NumPy adds up so few numbers of one row.
    pairs = own[0:8:2] + own[1:8:2]
    fours = pairs[0::2] + pairs[1::2]
    sums = fours[0] + fours[1]
    for rest in own[8:]:
        sums += rest
    np.divide(sums, np.maximum(counted[:, :1], _ONE), out=quantities[:, _COLUMNS["own"]])


def request_features(quantities: Float) -> Float:
    """Return the features: [n, len(REQUEST_FEATURES)] float32, none of them NaN."""
    sides = quantities.take(_SIDES, axis=1)
    found: Float = sides[:, 0] - sides[:, 1]
    found *= _SCALES
    np.copyto(found, _ZERO, where=np.isnan(found))
    np.maximum(found, _LEAST, out=found)
    np.minimum(found, _MOST, out=found)
    return found
