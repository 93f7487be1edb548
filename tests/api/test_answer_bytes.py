"""Answers straight to bytes: those that the messages would have."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.api.answer_bytes import FLAG_NUMBERS, answer_bytes, answers_bytes
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.serving.predictions import Flag, Predictions
from tests.serving.fakes import ends_of

numbers = st.floats(1e-3, 1e12)
answers = st.lists(
    st.tuples(
        st.tuples(numbers, numbers, numbers, numbers, numbers),
        st.none() | st.floats(0, 1),
        st.integers(0, (1 << len(Flag)) - 1),
        st.sampled_from(["", "a", "b", "é"]) | st.text(max_size=256),
    ),
    max_size=12,
)


def message(predictions: Predictions, row: int, request_id: str) -> pb.PredictResponse:
    """The answer in a row, field by field."""
    chance = predictions.timeout_probability[row]
    return pb.PredictResponse(
        predicted_runtime=predictions.runtime_s[row],
        confidence_lower=predictions.lower_s[row],
        confidence_upper=predictions.upper_s[row],
        confidence_level=predictions.level,
        timeout_probability=None if np.isnan(chance) else chance,
        recommended_time_req=predictions.recommended_time_req_s[row],
        model_predictions=dict(
            zip(predictions.member_names, predictions.members_s[row], strict=True)
        ),
        model_version=predictions.model_version,
        request_id=request_id,
        flags=FLAG_NUMBERS[predictions.flags[row]],
    )


@given(answers)
def test_bytes_are_read_as_the_messages_of_the_same_answers(found: list) -> None:
    table = np.array([values for values, _, _, _ in found]).reshape(-1, 5)
    limits = [np.nan if chance is None else chance for _, chance, _, _ in found]
    predictions = Predictions(
        runtime_s=table[:, 0],
        lower_s=table[:, 1],
        upper_s=table[:, 2],
        timeout_probability=np.array(limits, dtype=np.float64),
        ends_s=ends_of(np.abs(table[:, 0])),
        limit_granularity_s=60.0,
        members_s=table[:, 3:],
        flags=np.array([flags for _, _, flags, _ in found], dtype=np.uint8),
        member_names=("xgboost", "lightgbm"),
        level=0.9,
        model_version="v1",
    )
    ids = [request_id for _, _, _, request_id in found]
    expected = [message(predictions, row, request_id) for row, request_id in enumerate(ids)]
    alone = [answer_bytes(predictions, row, request_id) for row, request_id in enumerate(ids)]
    assert list(map(pb.PredictResponse.FromString, alone)) == expected
    written = answers_bytes(predictions, ids)
    read = [pb.PredictBatchResponse.FromString(one).predictions for one in written]
    assert [list(one) for one in read] == [[one] for one in expected]
    together = pb.PredictBatchResponse.FromString(b"".join(written))
    assert list(together.predictions) == expected
