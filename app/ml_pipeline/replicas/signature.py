"""Signatures on what replicas tell each other over Redis, by a key that only they have.

The key is derived from the token of the admin routes: who may change models by HTTP may announce
it, and nobody else who can reach Redis. What is signed has the place where it stands in it, so that
a message is of no use elsewhere; that it is of no use later either, is up to the numbers in it.
Without a token nothing is signed, and all is believed.
"""

import hmac
from collections.abc import Callable

PURPOSE = b"ml-pipeline: announcements between replicas, 1"
NUM_DIGITS = 64
"""Of a signature, hex, before the message and a space."""


class Signature:
    """Event loop only. Mutable state: the count.

    Args:
        token: Whose key it is; empty = there is none.
        on_refused: Told once of a place where something was not signed, or wrongly.

    Attributes:
        num_refused: Messages, and things that are kept, which were not believed.
    """

    def __init__(self, token: str, on_refused: Callable[[str], None]) -> None:
        self._key = hmac.digest(token.encode(), PURPOSE, "sha256") if token else b""
        self._on_refused = on_refused
        self._told: set[str] = set()
        self.num_refused = 0

    def sign(self, place: str, message: bytes) -> bytes:
        """Give the message with its signature."""
        return self._signed(place, message) + b" " + message if self._key else message

    def open(self, place: str, signed: bytes) -> bytes | None:
        """Give the message; None if it is not ours."""
        signature, space = signed[:NUM_DIGITS], signed[NUM_DIGITS : NUM_DIGITS + 1]
        has_signature = space == b" " and not signature.strip(b"0123456789abcdef")
        message = signed[NUM_DIGITS + 1 :] if has_signature else signed
        if not self._key:
            return message
        if has_signature and hmac.compare_digest(signature, self._signed(place, message)):
            return message
        self.num_refused += 1
        if place not in self._told:
            self._told.add(place)
            self._on_refused(place)
        return None

    def _signed(self, place: str, message: bytes) -> bytes:
        return hmac.digest(self._key, place.encode() + b"\n" + message, "sha256").hex().encode()
