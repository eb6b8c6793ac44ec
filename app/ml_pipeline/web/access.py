"""Who may ask for predictions: with API_KEYS_FILE who sends a key of it, without one anybody.

Every path needs a key but those that are listed here, so that a route that is added, and each other
spelling of one that is there, is closed until it is opened.

How a key is sent is read in one way, and Nginx reads it in the same: what it took for another key
would have a rate of its own, and what it took for none an answer that it keeps for who has none.
"""

import re

from ml_pipeline.api_keys import ApiKeys
from ml_pipeline.errors import Unauthorized
from ml_pipeline.fronts.http.message import HeaderList, Request

KEY_HEADER, TOKEN_HEADER = b"x-api-key", b"authorization"

_bearer = re.compile(rb"(?i:bearer) +([^ \t]+) *").fullmatch

OPEN = frozenset(
    (
        *("/", "/health", "/health/live", "/health/ready", "/metrics"),
        *("/v2", "/v2/health/live", "/v2/health/ready"),
        *("/openapi.json", "/docs", "/redoc", "/ui"),
    )
)
"""What monitoring and balancers ask, and pages and documents, which hold nothing of the models."""

OPEN_BELOW = ("/docs/", "/ui/")
"""Files of the pages."""

ADMIN = re.compile(r"/models/reload|/v2/repository/models/.+/(un)?load").fullmatch
"""Routes with a guard of their own (`admin.py`): a key neither opens nor closes them."""


def is_admin(path: str) -> bool:
    """Whether a path, percent-decoded, is an admin route's."""
    return ADMIN(path.rstrip("/")) is not None


def needs_key(path: str) -> bool:
    """Whether a path, percent-decoded, is closed to who has no key. Routes may end in slashes."""
    return not ((path.rstrip("/") or "/") in OPEN or path.startswith(OPEN_BELOW) or is_admin(path))


class Access:
    """Lets in who has a key.

    Args:
        keys: Those that are known.
    """

    def __init__(self, keys: ApiKeys) -> None:
        self._keys = keys

    def check(self, request: Request) -> str:
        """Let a request in, and tell whose it is; what was sent is never repeated.

        Returns:
            The client's name; empty where no key is needed.

        Raises:
            Unauthorized: It needs a key, and has none or one that is not known.
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
    """Give the key that was sent, empty if there is none, or if several were."""
    fields = request.fields
    if len(fields) < len(request.headers) and _is_repeated(request.headers):
        return b""
    if sent := fields.get(KEY_HEADER, b"").rstrip(b" "):
        return sent
    return bearer_token(fields.get(TOKEN_HEADER, b""))


def bearer_token(value: bytes) -> bytes:
    """Give the token of an Authorization header, empty if it is anything but `Bearer TOKEN`.

    Spaces behind it are no part of the header, and Nginx drops them. A tab it passes on, so a tab
    is of the token: then it is none.
    """
    found = _bearer(value)
    return found[1] if found else b""


def _is_repeated(headers: HeaderList) -> bool:
    """Whether a header that may hold a key is there twice: of two, each reader takes another."""
    return any(sum(name == each for name, _ in headers) > 1 for each in (KEY_HEADER, TOKEN_HEADER))


def _found(request: Request) -> str:
    if _is_repeated(request.headers):
        return "several"
    sent = KEY_HEADER in request.fields or TOKEN_HEADER in request.fields
    return "another" if sent else "none"
