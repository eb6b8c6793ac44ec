"""Who may ask for predictions: with API_KEYS_FILE who sends a key of it, without one anybody.

Every path needs a key but those that are listed here, so that a route that is added, and each other
spelling of one that is there, is closed until it is opened.
"""

import re

from app.api_keys import ApiKeys
from app.errors import Unauthorized
from app.http.message import Request

KEY_HEADER = b"x-api-key"

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

    def check(self, request: Request) -> None:
        """Let a request in, and note whose it is; what was sent is never repeated.

        Raises:
            Unauthorized: It needs a key, and has none or one that is not known.
        """
        if not needs_key(request.path):
            return
        sent = sent_key(request)
        owner = self._keys.owner(sent)
        if owner is None:
            found = "another" if sent else "none"
            raise Unauthorized(
                "x-api-key: expected an API key, here or as Authorization: Bearer, found " + found
            )
        request.client_name = owner


def sent_key(request: Request) -> bytes:
    """Give the key that was sent, empty if there is none; Nginx chooses likewise."""
    if sent := request.fields.get(KEY_HEADER):
        return sent
    scheme, _, sent = request.fields.get(b"authorization", b"").partition(b" ")
    return sent.strip() if scheme.lower() == b"bearer" else b""
