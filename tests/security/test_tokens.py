"""Bearer tokens."""

import hmac
import re
from datetime import UTC, datetime

import pytest

from rt_predictor.security import tokens
from rt_predictor.security.role import Role
from rt_predictor.security.roles import Caller
from rt_predictor.security.tokens import TokenTable, hash_of, new_token
from rt_predictor.settings import TokenSettings

NOW_S = datetime(2027, 1, 1, tzinfo=UTC).timestamp()


def _entry(token: str, name: str = "hooks", **more: object) -> TokenSettings:
    known = {"name": name, "hash": hash_of(token), "roles": ["predict"], **more}
    return TokenSettings.model_validate(known)


def test_tokens_differ_have_256_bits_and_are_known_by_their_beginning() -> None:
    made = {new_token() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"rtp_[\w-]{43}", token) for token in made)


def test_a_token_is_found_by_its_hash_alone() -> None:
    token = new_token()
    table = TokenTable([_entry(new_token(), "other"), _entry(token)])
    assert table.find(token, NOW_S) == Caller("hooks", frozenset({Role.PREDICT}))
    for wrong in ("", token[:-1], f"{token}x", hash_of(token), "\udcff"):
        assert table.find(wrong, NOW_S) is None


def test_an_old_and_a_new_token_of_the_same_name_are_good_together() -> None:
    old, new = new_token(), new_token()
    table = TokenTable([_entry(old), _entry(new)])
    assert table.find(old, NOW_S) == table.find(new, NOW_S)


def test_a_token_that_expires_is_good_until_then() -> None:
    token = new_token()
    table = TokenTable([_entry(token, expires="2027-01-01")])
    assert table.find(token, NOW_S - 1) is not None
    assert table.find(token, NOW_S) is None
    assert table.expiries_s() == {"hooks": NOW_S}


def test_all_tokens_are_compared_whichever_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [new_token() for _ in range(5)]
    table = TokenTable([_entry(token) for token in known])
    compared: list[bytes] = []

    class Counting:
        @staticmethod
        def compare_digest(one: bytes, other: bytes) -> bool:
            compared.append(other)
            return hmac.compare_digest(one, other)

    monkeypatch.setattr(tokens, "hmac", Counting)
    for shown in (*known, "none of them"):
        compared.clear()
        table.find(shown, NOW_S)
        assert len(compared) == len(known)
