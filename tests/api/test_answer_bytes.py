"""Answers straight to bytes: those that the messages would have."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.api.answer_bytes import FLAG_NUMBERS, answer_bytes, answers_bytes
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.model.answer_flags import Flag
from rt_predictor.predict.predictions import Explanation, OwnJob, Predictions, Said
from rt_predictor.predict.views import Views

numbers = st.floats(1e-3, 1e12)
maybe = st.just(np.nan) | numbers
VIEWS = (Views(0.9, 0.9), Views(0.5, 0.75, (0.1,)), Views(0.123, 0.9, (0.25, 0.5, 0.75)))
JOBS = (OwnJob(0.25, 60.0, 7200.0, 4.0, 3600.0), OwnJob(0.125, 61.0, 0.0, np.nan, np.nan))
TOLD = Explanation(JOBS, 0.5, 0.25, {"last2": Said(60.5, 0.125)}, 0.125)
answers = st.lists(
    st.tuples(
        st.tuples(numbers, numbers, numbers, maybe, maybe, numbers, numbers, numbers),
        st.tuples(maybe, maybe),
        st.just(np.nan) | st.floats(0, 1),
        st.integers(0, (1 << len(Flag)) - 1),
        st.integers(0, len(VIEWS) - 1),
        st.sampled_from(["", "a", "é", "x" * 128, "é" * 128]) | st.text(max_size=4),
        st.booleans(),
    ),
    max_size=6,
)


def message(predictions: Predictions, row: int, request_id: str) -> pb.PredictResponse:
    """The answer in a row, field by field."""

    def known(column: np.ndarray) -> float | None:
        return None if np.isnan(column[row]) else column[row]

    views = predictions.views[predictions.view_of[row]]
    levels = dict(zip(views.quantiles, predictions.quantiles_s[row], strict=False))
    members = zip(predictions.member_names, predictions.members_s[row], strict=True)
    answer = pb.PredictResponse(
        predicted_runtime=predictions.runtime_s[row],
        confidence_lower=predictions.lower_s[row],
        confidence_upper=predictions.upper_s[row],
        confidence_level=views.level,
        recommendation_confidence=views.confidence,
        timeout_probability=known(predictions.timeout_probability),
        recommended_time_req=known(predictions.recommended_time_req_s),
        remaining_runtime=known(predictions.remaining_s),
        quantiles=[pb.Quantile(level=level, runtime=value) for level, value in levels.items()],
        model_predictions={name: value for name, value in members if not np.isnan(value)},
        model_version=predictions.model_version,
        request_id=request_id,
        flags=FLAG_NUMBERS[predictions.flags[row]],
    )
    if row in predictions.explanations:
        first, second = JOBS
        answer.explanation.MergeFrom(
            pb.Explanation(
                own_jobs=[
                    pb.WeighedJob(
                        share=first.share,
                        runtime=first.runtime_s,
                        age=first.age_s,
                        processors_req=first.cores,
                        time_req=first.limit_s,
                    ),
                    pb.WeighedJob(share=second.share, runtime=second.runtime_s),
                ],
                other_own_share=0.5,
                others_share=0.25,
                proposals=[pb.WeighedProposal(name="last2", runtime=60.5, share=0.125)],
                grid_share=0.125,
            )
        )
    return answer


@given(answers)
def test_bytes_are_read_as_the_messages_of_the_same_answers(found: list) -> None:
    table = np.array([values for values, *_ in found]).reshape(-1, 8)
    predictions = Predictions(
        runtime_s=table[:, 0],
        lower_s=table[:, 1],
        upper_s=table[:, 2],
        recommended_time_req_s=table[:, 3],
        remaining_s=table[:, 4],
        quantiles_s=table[:, 5:],
        members_s=np.array([members for _, members, *_ in found]).reshape(-1, 2),
        timeout_probability=np.array([chance for _, _, chance, *_ in found], dtype=np.float64),
        flags=np.array([flags for *_, flags, _, _, _ in found], dtype=np.uint8),
        views=VIEWS,
        view_of=np.array([place for *_, place, _, _ in found], dtype=np.intp),
        member_names=("xgboost", "last2"),
        model_version="v1",
        explanations={row: TOLD for row, (*_, explained) in enumerate(found) if explained},
    )
    ids = [request_id for *_, request_id, _ in found]
    expected = [message(predictions, row, request_id) for row, request_id in enumerate(ids)]
    alone = [answer_bytes(predictions, row, request_id) for row, request_id in enumerate(ids)]
    assert list(map(pb.PredictResponse.FromString, alone)) == expected
    written = answers_bytes(predictions, ids)
    read = [pb.PredictBatchResponse.FromString(one).predictions for one in written]
    assert [list(one) for one in read] == [[one] for one in expected]
    together = pb.PredictBatchResponse.FromString(b"".join(written))
    assert list(together.predictions) == expected
