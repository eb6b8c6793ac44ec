"""What the OpenAPI document says of keys and tokens.

The same whether this server asks for keys or not: their operations may do without, and have the 401
of those that do not.
"""

from ml_pipeline.web.access import is_admin, needs_key

SECURITY_SCHEMES = {
    "ApiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "NAME.SECRET, where the server has API_KEYS_FILE.",
    },
    "BearerKey": {"type": "http", "scheme": "bearer", "description": "The same key."},
    "AdminToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "ADMIN_TOKEN of the server, for admin routes.",
    },
}

_nothing: dict[str, list[str]] = {}
"""Of several ways in, to need none."""


def security_of(path: str) -> list[dict[str, list[str]]]:
    """Give the ways into a route, any one of them."""
    if is_admin(path):
        return [{"AdminToken": []}]
    return [{"ApiKey": []}, {"BearerKey": []}, _nothing] if needs_key(path) else []


def errors_of(path: str, statuses: tuple[int, ...], reasons: dict[int, str]) -> dict[int, str]:
    """Give the reasons of an operation's errors, those of a missing key among them."""
    found = {status: reasons[status] for status in statuses}
    if needs_key(path):
        found[401] = "The API key is missing or not known, where the server asks for one"
    return dict(sorted(found.items()))
