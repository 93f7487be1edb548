"""Bytes to messages and back, where gRPC's way is not enough."""

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import DecodeError

from rt_predictor.errors import InvalidRequestError

_T = TypeVar("_T")


class _Malformed:
    """Stands in for a message that could not be read: the client's mistake.

    An exception would not do: gRPC answers one in a deserializer with UNKNOWN and logs it.
    """


_MALFORMED = _Malformed()


def tolerant(deserialize: Callable[[bytes], _T]) -> Callable[[bytes], _T | _Malformed]:
    """A deserializer that never raises for malformed bytes; `checked` does so later."""

    def read(raw: bytes) -> _T | _Malformed:
        try:
            return deserialize(raw)
        except DecodeError:
            return _MALFORMED

    return read


def checked(message: _T | _Malformed) -> _T:
    """The message. Raises InvalidRequestError if its bytes were malformed."""
    if isinstance(message, _Malformed):
        raise InvalidRequestError(
            "the message cannot be read: it is not of the type that this method takes"
        )
    return message


def ready_made(serialize: Callable[[_T], bytes]) -> Callable[[_T | bytes], bytes]:
    """A serializer that leaves bytes as they are: most answers are made by templates, as bytes."""

    def write(answer: _T | bytes) -> bytes:
        return answer if isinstance(answer, bytes) else serialize(answer)

    return write
