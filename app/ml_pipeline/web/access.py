"""Who may ask for predictions: holders of an API key where there is an API_KEYS_FILE, else anybody.

Which paths need one follows from the list of operations (`operations.py`).

A key is read from a request exactly as Nginx reads it. If the two read different keys, a client
could have the rate limit of another; and if Nginx read no key where this server reads one, it would
cache the answer and give it to callers without a key.
"""

import re

from ml_pipeline.api_keys import ApiKeys
from ml_pipeline.errors import Unauthorized
from ml_pipeline.fronts.http.message import HeaderList, Request
from ml_pipeline.web.operations import audience_of

KEY_HEADER, TOKEN_HEADER = b"x-api-key", b"authorization"

_bearer = re.compile(rb"(?i:bearer) +([^ \t]+) *").fullmatch


def needs_key(path: str) -> bool:
    """Whether a path, percent-decoded, is closed to callers without an API key.

    Admin routes are not: they have a guard of their own (`admin.py`), and a key does not open them.
    """
    return audience_of(path) == "client"


class Access:
    """Lets callers in by their API key.

    Args:
        keys: The keys that are valid.
    """

    def __init__(self, keys: ApiKeys) -> None:
        self._keys = keys

    def check(self, request: Request) -> str:
        """Let a request in, and tell whose it is. The error never repeats what was sent.

        Returns:
            The client's name; empty where no key is needed.

        Raises:
            Unauthorized: The path needs a key, and the request has none that is valid.
        """
        if not needs_key(request.path):
            return ""
        owner = self._keys.owner(sent_key(request))
        if owner is None:
            raise Unauthorized(
                "x-api-key: expected an API key, here or as Authorization: Bearer, found "
                + _found(request)
            )
        return owner


def sent_key(request: Request) -> bytes:
    """Give the key that was sent; empty if none was, or several."""
    fields = request.fields
    if len(fields) < len(request.headers) and _is_repeated(request.headers):
        return b""
    if sent := fields.get(KEY_HEADER, b"").rstrip(b" "):
        return sent
    return bearer_token(fields.get(TOKEN_HEADER, b""))


def bearer_token(value: bytes) -> bytes:
    """Give the token of an Authorization header, empty if it is anything but `Bearer TOKEN`.

    Nginx drops spaces at the end of a header's value, so they are no part of the token. It passes
    a tab on as part of the value, so a value that ends in a tab is not of this form.
    """
    found = _bearer(value)
    return found[1] if found else b""


def _is_repeated(headers: HeaderList) -> bool:
    """Whether a header that may hold a key is there twice: which one counts differs by reader."""
    return any(sum(name == each for name, _ in headers) > 1 for each in (KEY_HEADER, TOKEN_HEADER))


def _found(request: Request) -> str:
    if _is_repeated(request.headers):
        return "several"
    sent = KEY_HEADER in request.fields or TOKEN_HEADER in request.fields
    return "another" if sent else "none"
