"""Questions and answers of a client, as values under the names of the API."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rt_predictor.jobs.event_kind import EventKind
from rt_predictor.model.answer_flags import Flag
from rt_predictor.predict.description import ModelDescription
from rt_predictor.predict.predictions import Explanation


@dataclass(frozen=True)
class Job:
    """One job to predict. None and "" mean not known; `partial` allows that for required fields."""

    processors_req: int | None = None
    nodes_req: int | None = None
    mem_req: float | None = None
    """Memory of the whole job, MB."""
    time_req: float | None = None
    """Time limit, s."""
    partition: str = ""
    qos: str = ""
    user: str = ""
    account: str = ""
    job_name: str = ""
    gpus_req: int | None = None
    submit_time: float | None = None
    """Unix s; None means now."""
    request_id: str = ""
    partial: bool = False
    confidence_level: float | None = None
    """Level of the interval, between 0 and 1, and from 0.5 on of the recommended limit; None takes
    the service's."""
    elapsed: float | None = None
    """Time that the job has been running at `as_of`, s."""
    as_of: float | None = None
    """The time that the question is about, Unix s; None means the submit time."""
    quantiles: tuple[float, ...] = ()
    """Levels, between 0 and 1, of runtimes to answer with beside."""
    explain: bool = False
    """Ask which finished jobs the answer rests on."""
    cluster: str = ""
    array_job_id: str = ""
    """Of the array that it is a task of."""
    array_task_id: str = ""
    het_job_id: str = ""
    """Of the heterogeneous job that it is a component of."""
    gpu_type: str = ""


@dataclass(frozen=True)
class Outcome:
    """A finished job. Of `job` only `submit_time` must be known."""

    job: Job
    job_id: str
    """With the submit time it tells jobs apart."""
    end_time: float
    """Unix s."""
    runtime: float
    """s."""
    start_time: float | None = None
    """Unix s."""
    state: str = ""
    """State in which it ended, e.g. "COMPLETED"."""
    attempt: int | None = None
    """Number of times that it had been requeued before."""


@dataclass(frozen=True)
class Event:
    """Event of a job. Of `job` only `submit_time` must be known."""

    kind: EventKind
    job: Job
    job_id: str
    attempt: int | None = None
    """Number of times that it had been requeued before."""
    event_time: float | None = None
    """Unix s; None takes the time that goes with the kind: of the submit, start or end."""
    start_time: float | None = None
    """Unix s."""
    end_time: float | None = None
    """Unix s."""
    runtime: float | None = None
    """s; required for an end."""
    state: str = ""
    """State in which it ended, e.g. "COMPLETED"."""


@dataclass(frozen=True)
class InvalidOutcome:
    """Why one of several outcomes or events was not recorded."""

    index: int
    """Index, from 0."""
    message: str
    field: str


@dataclass(frozen=True)
class Reloaded:
    """Result of a reload: versions of the model, equal if there was nothing to load."""

    old_version: str
    new_version: str


@dataclass(frozen=True)
class Recorded:
    """Result of recording outcomes or events; the valid ones are on disk."""

    recorded: int = 0
    """Those that are new."""
    duplicates: int = 0
    """Those that were recorded before, also by an attempt whose answer was lost."""
    invalid: int = 0
    """Those that break a rule."""
    errors: tuple[InvalidOutcome, ...] = ()
    """Why, for the first of those."""
    conflicts: int = 0
    """Those of `duplicates` that say something else than what is recorded, which stands."""
    quarantined: int = 0
    """Those that are new and doubtful: they count for nothing until an operator releases them."""
    unknown_states: tuple[str, ...] = ()
    """Words among their states that the service does not know: of these ends nobody knows how."""

    def __add__(self, more: "Recorded") -> "Recorded":
        """Return the counts of both together."""
        return Recorded(
            self.recorded + more.recorded,
            self.duplicates + more.duplicates,
            self.invalid + more.invalid,
            self.errors + more.errors,
            self.conflicts + more.conflicts,
            self.quarantined + more.quarantined,
            tuple(dict.fromkeys(self.unknown_states + more.unknown_states)),
        )


@dataclass(frozen=True)
class Prediction:
    """The answer for one job, under the names of the API. Times are in s."""

    predicted_runtime: float
    confidence_lower: float
    confidence_upper: float
    confidence_level: float
    """Level of the interval `confidence_lower` to `confidence_upper`."""
    timeout_probability: float | None
    """None for a job without a time limit."""
    recommended_time_req: float | None
    """The smallest time limit that is enough with `recommendation_confidence`; None where the
    partition allows none that is, or the job's own is not: `flags` say which."""
    model_predictions: Mapping[str, float]
    """Prediction of each model or rule on its own."""
    flags: Flag
    model_version: str
    request_id: str
    quantiles: Mapping[float, float] = field(default_factory=dict)
    """Level that the job asked for -> runtime that is not exceeded with that probability."""
    remaining_runtime: float | None = None
    """Time that a running job is still expected to run; None for one that has not started."""
    recommendation_confidence: float = 0.9
    explanation: Explanation | None = None
    """Finished jobs that the answer rests on, where the job asked for them."""


@dataclass(frozen=True)
class Rejection:
    """Why one job of several could not be predicted."""

    message: str
    field: str
    code: int
    """gRPC status code as a number; 3 is INVALID_ARGUMENT."""
    request_id: str


@dataclass(frozen=True)
class GroupDrift:
    """Drift of a group of columns since training."""

    group: str
    psi: float
    """Population stability index of the column that has moved furthest."""
    column: str
    """Name of that column."""


@dataclass(frozen=True)
class LiveFigures:
    """Figures of a model on the jobs that end now."""

    jobs: int = 0
    """Jobs that the figures are made of."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Under the names of `ModelDescription.metrics`; none without jobs."""
    drift: tuple[GroupDrift, ...] = ()
    proposals_mae: Mapping[str, float] = field(default_factory=dict)
    """Mean absolute error of what each model or rule says on its own."""


@dataclass(frozen=True)
class Shadow:
    """A candidate model beside the one that answers."""

    model_version: str
    """"" where its bundle cannot be used."""
    problem: str
    """Reason why it is not well; "" if it is."""
    behind: int
    """Recorded outcomes that it has not seen yet."""
    live: LiveFigures
    """Live figures as they would be with the candidate."""
    compared: int
    """Answers that were compared with its own."""
    differing: float | None
    """Share of those that differ by more than about a tenth; None without any."""
    failed: int
    """Answers that it could not give."""


@dataclass(frozen=True)
class ModelInfo:
    """Description of the model that answers, and of its service."""

    model_version: str
    confidence_level: float
    """Level of the intervals; 0 to 1."""
    model: ModelDescription
    service_version: str
    uptime_seconds: float
    predictions_served: int
    live: LiveFigures = LiveFigures()
    """Without jobs from an older service, or from a bundle alone."""
    shadow: Shadow | None = None
    """None where there is no candidate."""
    recommendation_confidence: float = 0.9
    """With which recommended limits are meant to be enough; 0.5 to 1."""


@dataclass(frozen=True)
class Health:
    """Health of a service. States are "SERVING", "DEGRADED", "NOT_SERVING" or "UNSPECIFIED"."""

    status: str
    message: str
    uptime_seconds: float
    memory_bytes: int
    components: Mapping[str, str]
    """Part -> state."""
    service_version: str


Answer = Prediction | Rejection
"""Result of one job of several."""
