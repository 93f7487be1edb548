"""What `rt-predictor train` and `evaluate` show: progress on stderr, the result on stdout."""

from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from rt_predictor.cli.evaluation_screen import show_points

if TYPE_CHECKING:
    from rt_predictor.training.pipeline import TrainingReport


class Steps:
    """A progress bar for each step, on a terminal; nothing in a pipe."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, step: str, share: float) -> None:
        """Tells that a share (0 to 1) of a step is done."""
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(step, total=1.0)
        self._progress.update(self._tasks[step], completed=share)


def show_report(report: "TrainingReport") -> None:
    """How good the model is, and where it went."""
    console = Console(highlight=False, soft_wrap=True)
    show_points(report.evaluation, console)
    console.print(f"wrote model {report.model_version} to {report.folder}", markup=False)
