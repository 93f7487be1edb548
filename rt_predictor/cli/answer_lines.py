"""Answers in words: what was understood of the job, and every number that was predicted."""

from collections.abc import Iterator, Mapping
from math import isnan
from typing import TYPE_CHECKING

from rt_predictor.cli.words import (
    counted,
    duration,
    flag_words,
    memory,
    moment,
    percent,
    time_left,
    time_limit,
)
from rt_predictor.jobs.normal import normal_partition
from rt_predictor.model.answer_flags import Flag
from rt_predictor.predict.predictions import Explanation

if TYPE_CHECKING:
    from rt_predictor.client import Job, Prediction

Line = tuple[str, str]
"""A label and a text."""

MIDDLE = (0.25, 0.75)
"""Levels between which half of all such jobs end, for people to see."""


def answer_lines(job: "Job", answer: "Prediction", asked: tuple[float, ...]) -> Iterator[Line]:
    """Return the lines of an answer.

    Args:
        job: what was asked, with the quantiles `MIDDLE` beside others.
        answer: the prediction.
        asked: levels of quantiles that the user wants to see.
    """
    yield "understood", understood(job)
    yield "predicted", _predicted(answer)
    if answer.remaining_runtime is not None and job.elapsed is not None:
        left = time_left(answer.predicted_runtime, job.elapsed)
        yield "running", f"for {duration(job.elapsed)}; {left} to go, as a rule"
    interval = f"{duration(answer.confidence_lower)} to {duration(answer.confidence_upper)}"
    yield f"{percent(answer.confidence_level)} interval", interval
    for level in asked:
        if level in answer.quantiles:
            yield f"{percent(level)} end within", duration(answer.quantiles[level])
    if answer.timeout_probability is not None and job.time_req is not None:
        chance = percent(answer.timeout_probability)
        yield "time limit", f"{time_limit(job.time_req)}; chance to hit it: {chance}"
    yield "ask for", _recommended(answer)
    if answer.explanation is not None:
        yield from explanation_lines(answer.explanation)
    models = sorted(answer.model_predictions.items())
    if models:
        yield "models", ", ".join(f"{name} {duration(value)}" for name, value in models)
    for words in flag_words(answer.flags):
        yield "less certain", words
    yield "model version", answer.model_version


def understood(job: "Job") -> str:
    """Return what was understood of a job."""
    parts = [
        None if job.processors_req is None else counted(job.processors_req, "core"),
        None if job.nodes_req is None else counted(job.nodes_req, "node"),
        None if job.mem_req is None else f"{memory(job.mem_req)} of memory",
        None if job.gpus_req is None else counted(job.gpus_req, "GPU"),
        "no time limit" if job.time_req is None else f"limit {time_limit(job.time_req)}",
        *(
            f"{word} {value}"
            for word, value in (
                ("partition", normal_partition(job.partition)),
                ("QoS", job.qos),
                ("user", job.user),
                ("account", job.account),
                ("name", job.job_name),
            )
            if value
        ),
        None if job.submit_time is None else f"submitted {moment(job.submit_time)}",
    ]
    return ", ".join(filter(None, parts))


def _predicted(answer: "Prediction") -> str:
    point = duration(answer.predicted_runtime)
    low, high = (answer.quantiles.get(level) for level in MIDDLE)
    if low is None or high is None:  # from an older service
        return point
    ends = duration(low), duration(high)
    if ends == (point, point):
        return f"{point}, as at least half of such jobs take"
    return f"{point} as a rule; half of such jobs take {ends[0]} to {ends[1]}"


def _recommended(answer: "Prediction") -> str:
    chance = percent(answer.recommendation_confidence)
    if answer.recommended_time_req is None:
        if Flag.TIME_LIMIT_TOO_SHORT in answer.flags:
            return f"a longer limit: this one is too short for a chance of {chance}"
        return f"the partition allows no limit that is enough with a chance of {chance}"
    limit = time_limit(answer.recommended_time_req)
    return f"{limit}, which is enough with a chance of {chance}"


def explanation_lines(explanation: Explanation) -> Iterator[Line]:
    """Return which jobs a distribution rests on."""
    own_share = explanation.other_own_share + sum(job.share for job in explanation.own_jobs)
    shares: Mapping[str, float] = {
        "jobs of the user": own_share,
        "jobs of others": explanation.others_share,
        "models and rules": sum(one.share for one in explanation.proposals.values()),
        "no job in particular": explanation.grid_share,
    }
    parts = (f"{name} {percent(share)}" for name, share in shares.items() if share > 0)
    yield "rests on", ", ".join(parts)
    for job in explanation.own_jobs:
        known = [f"ended {duration(job.age_s)} before" if job.age_s else "still running"]
        if not isnan(job.cores):
            known.append(counted(round(job.cores), "core"))
        if not isnan(job.limit_s):
            known.append(f"limit {time_limit(job.limit_s)}")
        text = f"{percent(job.share)}: {duration(job.runtime_s)} ({', '.join(known)})"
        yield "  job", text
