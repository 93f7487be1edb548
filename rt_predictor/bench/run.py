"""All measurements, in order: what is compared is measured in turns, close together in time."""

import asyncio
from collections.abc import Callable

from rt_predictor.bench import bulk, calls, growth, history, inside, mlserver, processes
from rt_predictor.bench.figures import Figures
from rt_predictor.bench.plan import BenchPlan
from rt_predictor.processes.event_loop import new_event_loop

Say = Callable[[str], None]


def run(plan: BenchPlan, say: Say) -> Figures:
    """Measure everything that the plan allows; `say` is told what is being measured.

    Raises ServiceError where a service does not answer, BundleError where the bundle cannot be
    loaded.
    """
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        if plan.target is not None:
            return runner.run(_of_a_service(plan, plan.target, say))
        figures = runner.run(_of_an_own_service(plan, say))
    if plan.mlserver is not None:
        say("MLServer with a LightGBM of as many trees")
        figures |= mlserver.measure(plan, plan.mlserver)
    say("in this process, beside the native libraries")
    predictor = inside.load(plan)
    figures |= inside.measure(plan, predictor)
    say("by the size of a batch")
    figures |= growth.batch_sizes(plan, predictor)
    say("by the keys of history")
    return figures | growth.history_keys(plan)


async def _of_a_service(plan: BenchPlan, target: str, say: Say) -> Figures:
    with processes.echo() as echo:
        say("single calls and streams, beside a bare echo")
        figures = await calls.measure(plan, target, echo.target)
    say("batches and tables")
    return figures | await bulk.measure(plan, target)


async def _of_an_own_service(plan: BenchPlan, say: Say) -> Figures:
    say("start")
    figures = await growth.start(plan)
    with processes.service(plan.bundle) as running:
        figures |= await _of_a_service(plan, running.target, say)
        say("memory, before and after many predictions")
        figures |= await growth.memory(plan, running)
    say("history: recording, restart, and calls")
    figures |= await history.measure(plan)
    say("one worker and two")
    return figures | await growth.workers(plan)
