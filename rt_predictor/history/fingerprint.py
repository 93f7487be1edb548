"""What tells one way of remembering jobs from another."""

from hashlib import blake2b

import numpy as np
import polars as pl

from rt_predictor.history.columns import COLUMNS, job_columns
from rt_predictor.history.token_keys import KEY_FIELDS, QUEUED, TOKEN_KEYS, WALKED
from rt_predictor.jobs.schema import JOB_SCHEMA
from rt_predictor.jobs.states import ENDINGS


def history_fingerprint() -> str:
    """Return what changes whenever the same job would be kept as other numbers, or elsewhere."""
    values = {name: "probe" if kind == pl.String else 1.5 for name, kind in JOB_SCHEMA.items()}
    jobs = job_columns(pl.DataFrame([values | {"end_time": 9.5}], schema=JOB_SCHEMA))
    known = (COLUMNS, sorted(ENDINGS.items()), TOKEN_KEYS, KEY_FIELDS, QUEUED, WALKED)
    digest = blake2b(repr(known).encode(), digest_size=16)
    for array in (jobs.columns, jobs.keys, jobs.ident, jobs.patience_s):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
