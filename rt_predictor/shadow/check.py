"""What health says of a candidate: it is no part that the service needs, but it was asked for."""

from rt_predictor.observability.health import Check, Health, State
from rt_predictor.shadow.folder import ShadowFolder


def shadow_check(folder: ShadowFolder) -> Check:
    """Whether the candidate is there and well."""

    def check() -> Health:
        report = folder.latest()
        if report is None:
            return Health(State.SERVING, "starting")
        if report.problem:
            return Health(State.DEGRADED, report.problem)
        if not report.up:
            return Health(State.DEGRADED, f"not heard of for {report.silent_s:.0f} s")
        jobs = 0 if report.live is None else report.live.jobs
        return Health(
            State.SERVING,
            f"{report.model_version}, judged on {jobs} finished jobs, {report.behind} to come; "
            f"{report.compared.answers} answers compared",
        )

    return check
