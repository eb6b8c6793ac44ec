"""Who may call the admin routes: holders of ADMIN_TOKEN; without one, at most loopback."""

import hmac
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import IPv6Address, ip_address
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler

from ml_pipeline.errors import Forbidden, Unauthorized
from ml_pipeline.web.access import TOKEN_HEADER, bearer_token
from ml_pipeline.web.serves import audience_of_handler

Connection = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connection, BaseRouteHandler], Awaitable[None]]
"""A coroutine function, because Litestar runs a plain one in a thread, for each request."""

FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
"""Headers that a proxy adds. Where one is there, the connection's address is the proxy's and says
nothing about the client."""

CLOSED = (
    "ADMIN_TOKEN: expected to be set, and to be sent as Authorization: Bearer, found unset; "
    "without it admin routes are closed in production"
)
NOT_LOCAL = (
    "client: expected loopback, or ADMIN_TOKEN to be set and to be sent as Authorization: Bearer, "
    "found another address"
)


def guard_admin_handlers(handlers: Iterable[HTTPRouteHandler], guard: Guard) -> None:
    """Put the guard before each handler that is for admins."""
    for handler in handlers:
        if audience_of_handler(handler) == "admin":
            handler.guards = [*(handler.guards or ()), guard]


def admin_guard(token: str, *, production: bool) -> Guard:
    """Make the guard of admin routes.

    Args:
        token: What callers must send; empty = there is none.
        production: Whether loopback is refused, too, where there is no token.
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
