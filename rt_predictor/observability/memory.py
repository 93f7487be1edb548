"""Resident memory of this process: how much it is, and how it is kept small."""

import ctypes
import os
import resource
import sys
from pathlib import Path

_STATM = Path("/proc/self/statm")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Options of glibc's `mallopt`."""
_HEAPS = 2
_LARGE_BUFFER_BYTES = 3 << 20
"""Larger than most of what is made of a piece of a batch, for which memory is used again: to have a
page emptied and mapped costs as much as a tenth of scoring the jobs that fit into it."""
_KEPT_BYTES = 16 << 20
"""Free memory at the end of a heap that is kept for the next batch."""
_RESIDENT_PAGES = 1
"""Index of the resident set in `statm`, in pages."""


def resident_memory_bytes() -> int:
    """Resident memory of this process; where the system does not tell, its peak so far."""
    try:
        pages = int(_STATM.read_text().split()[_RESIDENT_PAGES])
    except (OSError, ValueError, IndexError):
        return _peak_memory_bytes()
    return pages * os.sysconf("SC_PAGE_SIZE")


def keep_memory_small() -> bool:
    """Has the C library give large buffers back as soon as they are free: whether it does so.

    Without this glibc keeps a heap for each thread, as large as the largest batch that it has seen,
    and soon takes even buffers of many megabytes from there. With it there are two heaps, buffers
    of `_LARGE_BUFFER_BYTES` lie outside of them, and `_KEPT_BYTES` of each stay for the next batch.
    Before threads are started.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # another C library
        return False
    wanted = (
        (_M_ARENA_MAX, _HEAPS),
        (_M_MMAP_THRESHOLD, _LARGE_BUFFER_BYTES),
        (_M_TRIM_THRESHOLD, _KEPT_BYTES),
    )
    return all(mallopt(option, value) for option, value in wanted)


def _peak_memory_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
