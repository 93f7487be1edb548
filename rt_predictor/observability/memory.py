"""Resident memory of this process."""

import os
import resource
import sys
from pathlib import Path

_STATM = Path("/proc/self/statm")
_RESIDENT_PAGES = 1
"""Place of the resident set in `statm`, in pages."""


def resident_memory_bytes() -> int:
    """Resident memory of this process; where the system does not tell, its peak so far."""
    try:
        pages = int(_STATM.read_text().split()[_RESIDENT_PAGES])
    except (OSError, ValueError, IndexError):
        return _peak_memory_bytes()
    return pages * os.sysconf("SC_PAGE_SIZE")


def _peak_memory_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
