import numpy as np

from rt_predictor.features.matrix import assemble
from rt_predictor.history.asked_tokens import NO_JOB
from rt_predictor.history.columns import COLUMN
from rt_predictor.history.token_keys import NO_ROW, slots_of
from rt_predictor.training.network.knowledge import KNOWLEDGE, draw_lost, leave_out
from tests.training.network.learning_logs import learning_log


def without(name: str):
    """Return a log, and its jobs without the knowledge of a name."""
    log = learning_log(80)
    tokens = log.tokens.gather(slice(None))
    lost = np.repeat([[knowledge.name == name] for knowledge in KNOWLEDGE], 80, axis=1)
    return log, tokens, *leave_out(log.asked, tokens, lost)


def test_what_is_left_out_is_gone_from_the_job_and_from_its_tokens():
    log, tokens, asked, left = without("memory")
    column = COLUMN["log_mem"]
    assert np.isnan(asked.columns[:, column]).all()
    assert np.isnan(left.columns[:, :, column]).all()
    assert (~np.isnan(tokens.columns[:, :, column])).any(), "the log itself keeps it"
    others = [other for other in range(len(NO_JOB)) if other != column]
    np.testing.assert_array_equal(asked.columns[:, others], log.asked.columns[:, others])


def test_tokens_that_are_found_by_it_go_with_it():
    _, tokens, _, left = without("name")
    gone = slots_of("same_name")
    assert (tokens.rows[:, gone] != NO_ROW).any()
    assert (left.rows[:, gone] == NO_ROW).all()
    assert np.isnan(left.columns[:, gone, COLUMN["runtime_s"]]).all()
    assert np.isnan(left.age_s[:, gone]).all()


def test_a_site_without_starts_knows_nothing_in_flight():
    _, _, _, left = without("in flight")
    assert np.isnan(left.in_flight).all()
    assert (left.rows[:, slots_of("running")] == NO_ROW).all()


def test_whatever_is_left_out_features_are_numbers():
    for knowledge in KNOWLEDGE:
        _, _, asked, left = without(knowledge.name)
        assert np.isfinite(assemble(asked, left)).all(), knowledge.name


def test_shares_are_as_declared():
    log = learning_log(700)
    random = np.random.default_rng(0)
    tokens = log.tokens.gather(slice(None))
    asked, _ = leave_out(log.asked, tokens, draw_lost(700, random))
    lost = (asked.columns[:, COLUMN["name_id"]] == 0) & (
        log.asked.columns[:, COLUMN["name_id"]] > 0
    )
    assert 0.08 < lost.mean() < 0.22
