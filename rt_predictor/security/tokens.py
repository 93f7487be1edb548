"""Bearer tokens: made here, kept in settings as hashes, found in constant time."""

import hmac
import secrets
from collections.abc import Sequence
from hashlib import sha256

from rt_predictor.security.roles import Caller
from rt_predictor.settings import TokenSettings

_PREFIX = "rtp_"
"""So that scanners for leaked secrets can know one when they see it."""
_TOKEN_BYTES = 32


def new_token() -> str:
    """A token of 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)


def hash_of(token: str) -> str:
    """Return the hash of a token for the settings. A plain one will do: nobody guesses 256 bits."""
    return f"sha256:{sha256(token.encode(errors='replace')).hexdigest()}"


class TokenTable:
    """The tokens of the settings."""

    def __init__(self, tokens: Sequence[TokenSettings]) -> None:
        self._known = [
            (
                token.hash.encode(),
                Caller(token.name, frozenset(token.roles)),
                None if token.expires is None else token.expires.timestamp(),
            )
            for token in tokens
        ]

    def __len__(self) -> int:
        return len(self._known)

    def find(self, token: str, now_s: float) -> Caller | None:
        """Return the owner of a token; None where there is none, or where it has expired.

        Always compares all, each in constant time: how long it takes says nothing of any.
        """
        asked = hash_of(token).encode()
        found: Caller | None = None
        for known, caller, expires_at_s in self._known:
            if hmac.compare_digest(asked, known) and (expires_at_s is None or now_s < expires_at_s):
                found = caller
        return found

    def expiries_s(self) -> dict[str, float]:
        """Return the expiry of tokens that have one: name -> Unix s."""
        return {caller.name: at_s for _, caller, at_s in self._known if at_s is not None}
