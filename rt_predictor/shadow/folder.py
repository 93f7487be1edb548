"""Where what serves and the candidate meet: a folder with a socket and a report."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

if TYPE_CHECKING:
    # The candidate must give way before libraries that start threads are imported.
    from rt_predictor.shadow.report import ShadowReport


@dataclass(frozen=True)
class ShadowFolder:
    """A folder that only the service's own user can enter."""

    folder: Path
    share: float
    """Share of the model's runs that the candidate is sent"""

    @property
    def socket(self) -> Path:
        """A Unix datagram socket that the candidate listens on."""
        return self.folder / "calls"

    def publish(self, report: "ShadowReport") -> None:
        """Puts a report in the place of the last; readers see one or the other. Raises OSError."""
        from rt_predictor.shadow.report import report_to_json

        new = self._report.with_suffix(".new")
        new.write_bytes(report_to_json(report))
        new.replace(self._report)

    def latest(self) -> "ShadowReport | None":
        """The last report; None before the first."""
        from rt_predictor.shadow.report import report_from_json

        try:
            return report_from_json(self._report.read_bytes())
        except (OSError, ValidationError):
            return None

    @property
    def _report(self) -> Path:
        return self.folder / "report.json"
