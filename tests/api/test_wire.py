"""Bytes to messages and back."""

import pytest

from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.api.wire import checked, ready_made, tolerant
from rt_predictor.errors import InvalidRequestError


def test_malformed_bytes_are_the_clients_mistake_but_only_once_they_are_looked_at() -> None:
    message = tolerant(pb.PredictRequest.FromString)(b"\xff\xff")
    with pytest.raises(InvalidRequestError, match="cannot be read"):
        checked(message)


def test_a_message_is_read_and_passes() -> None:
    request = pb.PredictRequest(user="a")
    assert checked(tolerant(pb.PredictRequest.FromString)(request.SerializeToString())) == request


def test_an_answer_may_be_bytes_already() -> None:
    write = ready_made(pb.PredictResponse.SerializeToString)
    answer = pb.PredictResponse(request_id="a")
    assert write(answer) == write(answer.SerializeToString()) == answer.SerializeToString()
