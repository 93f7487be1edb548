import numpy as np

from rt_predictor.online.groups import HISTORY_LABELS, history_groups


def test_groups_follow_what_is_known_of_the_user() -> None:
    runs = np.array([np.nan, 0, 1, 4, 5, 19, 20, 1000])
    assert history_groups(runs).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert len(HISTORY_LABELS) == 4
