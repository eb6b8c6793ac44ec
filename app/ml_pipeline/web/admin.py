"""Who may call the admin routes: with ADMIN_TOKEN whoever has it, without one at most loopback."""

import hmac
from collections.abc import Awaitable, Callable
from ipaddress import IPv6Address, ip_address
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from ml_pipeline.errors import Forbidden, Unauthorized
from ml_pipeline.web.access import TOKEN_HEADER, bearer_token

Connection = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connection, BaseRouteHandler], Awaitable[None]]
"""Not a plain function: Litestar would run that in a thread, for each request."""

FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
"""Headers by which a proxy tells whom it speaks for: its own address is not the client's."""

CLOSED = (
    "ADMIN_TOKEN: expected to be set, and to be sent as Authorization: Bearer, found unset; "
    "without it admin routes are closed in production"
)
NOT_LOCAL = (
    "client: expected loopback, or ADMIN_TOKEN to be set and to be sent as Authorization: Bearer, "
    "found another address"
)


def admin_guard(token: str, *, production: bool) -> Guard:
    """Make the guard of admin routes.

    Args:
        token: What callers must send; empty = there is none.
        production: Whether loopback, without a token, is shut out too.
    """

    async def guard(connection: Connection, _: BaseRouteHandler) -> None:
        if token:
            _check_token(connection, token)
        elif production:
            raise Forbidden(CLOSED)
        elif not _from_loopback(connection):
            raise Forbidden(NOT_LOCAL)

    return guard


def _check_token(connection: Connection, token: str) -> None:
    """Compare in constant time, as bytes: text beyond ASCII would be an error of its own."""
    sent = [value for name, value in connection.scope["headers"] if name == TOKEN_HEADER]
    same = hmac.compare_digest(bearer_token(sent[0]) if sent else b"", token.encode())
    if len(sent) != 1 or not same:
        found = ("none", "another", "several")[min(len(sent), 2)]
        raise Unauthorized(f"authorization: expected Bearer with the admin token, found {found}")


def _from_loopback(connection: Connection) -> bool:
    if connection.client is None or any(name in connection.headers for name in FORWARDED):
        return False
    try:
        address = ip_address(connection.client.host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
