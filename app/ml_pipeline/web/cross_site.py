"""Requests that a page of another site makes its reader's browser send.

Who reads it may be let in where the page is not: by an address, as on loopback without ADMIN_TOKEN.
A browser sends such a request though the page may not read the answer, and what it changes is
changed. So whatever is no prediction and may change something is asked where it comes from, and
each route that is added is, too. Predictions change nothing, so they are not asked: without CORS
the page cannot read them.

Source: Fetch Metadata Request Headers (W3C), and `Origin` in the Fetch standard. Neither can be set
by a page, and clients that are no browsers send neither.
"""

from litestar.handlers import BaseRouteHandler

from ml_pipeline.errors import Forbidden
from ml_pipeline.web.admin import Connection, Guard

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""

OWN = frozenset({b"same-origin", b"none"})
"""Values of Sec-Fetch-Site: a page of this server, and what a person does, such as a bookmark."""


def cross_site_guard(origins: tuple[str, ...], *, any_with_token: bool) -> Guard:
    """Make the guard of all routes.

    Args:
        origins: That may call from a browser, as in CORS_ORIGINS.
        any_with_token: Whether `*` among them counts here: only where a token is asked for, which
            a page has from its reader. Without one it would let in every page there is.
    """
    allowed = frozenset(origin.encode() for origin in origins)
    any_origin = any_with_token and "*" in origins

    async def guard(connection: Connection, _: BaseRouteHandler) -> None:
        if connection.scope.get("method") in SAFE or any_origin:
            return
        fields = dict(connection.scope["headers"])
        origin, site = fields.get(b"origin"), fields.get(b"sec-fetch-site")
        if origin in allowed:
            return
        if site is not None:
            own = site in OWN
        else:
            own = origin is None or _authority(origin) == fields.get(b"host", b"").lower()
        if not own:
            shown = "another site's" if origin is None else repr(origin[:100].decode("latin-1"))
            raise Forbidden(
                f"origin: expected this server's own, or one of CORS_ORIGINS, found {shown}"
            )

    return guard


def _authority(origin: bytes) -> bytes:
    """Give host and port; both leave out a port that is the scheme's own, as Host does."""
    return origin.partition(b"://")[2].lower()
