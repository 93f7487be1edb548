"""What `rt-predictor train` says of the model that it made."""

from rich.console import Console

from rt_predictor.cli.evaluation_screen import show_points
from rt_predictor.training.site import SiteReport


def show_report(report: SiteReport) -> None:
    """Show how good the model is, what it came to, and where it went."""
    console = Console(highlight=False, soft_wrap=True)
    show_points(report.evaluation, console)
    for note in report.notes:
        console.print(note, markup=False)
    console.print(f"wrote model {report.model_version} to {report.folder}", markup=False)
