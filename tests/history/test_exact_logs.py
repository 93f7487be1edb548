from math import log, log1p, nan

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rt_predictor.history import exact_logs
from rt_predictor.history.exact_logs import log1p_of, log1ps_of, log_of, logs_of

numbers = st.floats(allow_nan=True, allow_infinity=False) | st.integers(-2, 10**9).map(float)


@given(arrays(np.float64, st.integers(0, 40), elements=numbers))
def test_many_have_the_bits_of_each(values: np.ndarray) -> None:
    for many, one in ((logs_of, log_of), (log1ps_of, log1p_of)):
        each = np.array([one(value) for value in values.tolist()], dtype=np.float64)
        assert many(values).tobytes() == each.astype(np.float32).tobytes()


def test_numbers_without_a_logarithm_have_none() -> None:
    assert np.isnan(logs_of(np.array([0.0, -1.0, nan]))).all()
    assert np.isnan(log1ps_of(np.array([-0.5, -1.0, nan]))).all()
    assert np.isnan([log_of(None), log1p_of(None), log_of(0.0), log1p_of(-1e-9)]).all()


def test_the_c_library_decides_between_two_sides_of_a_rounding(monkeypatch) -> None:
    """However far apart the libraries are taken to be, the bits stay."""
    values = np.random.default_rng(5).lognormal(8, 3, 5000)
    usual = logs_of(values), log1ps_of(values)
    asked: list[float] = []

    def counted(value: float) -> float:
        asked.append(value)
        return log(value)

    monkeypatch.setattr(exact_logs, "_NEAR", 2.0**-26)
    monkeypatch.setattr(exact_logs, "log_of", counted)
    assert logs_of(values).tobytes() == usual[0].tobytes()
    assert asked
    assert log1ps_of(values).tobytes() == usual[1].tobytes()
    assert usual[1][0] == np.float32(log1p(values[0]))
