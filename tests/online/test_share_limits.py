"""No count exceeds its share, and none is limited without need."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.online.influence import TRUSTED_S, TrustedReports, greatest_count


def test_a_trusted_report_is_recent_for_a_fortnight() -> None:
    reports = TrustedReports()
    assert not reports.any_lately(from_trusted=False, now_s=0.0)
    assert reports.any_lately(from_trusted=True, now_s=0.0)
    assert reports.any_lately(from_trusted=False, now_s=TRUSTED_S)
    assert not reports.any_lately(from_trusted=False, now_s=TRUSTED_S + 1)


@given(st.lists(st.floats(0.01, 1e5), max_size=60), st.floats(0, 1e4), st.floats(0, 1))
def test_no_count_is_above_its_share_and_none_is_cut_without_need(
    counts: list[float], others: float, wish: float
) -> None:
    share = max(wish, 1 / max(len(counts), 1))
    most = greatest_count(np.array(counts), share, others)
    kept = np.minimum(counts, most)
    whole = others + kept.sum()
    assert (kept <= share * whole * (1 + 1e-9)).all()
    if np.isfinite(most) and most > 0:
        more = np.minimum(counts, most * 1.01)
        assert more.max() > share * (others + more.sum()) or more.max() == kept.max()
