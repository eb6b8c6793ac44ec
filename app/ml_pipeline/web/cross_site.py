"""Refuses requests that a page of another site makes its reader's browser send (CSRF).

The reader may have access that the page has not, such as by a loopback address where there is no
ADMIN_TOKEN. A browser sends such a request although the page may not read the answer, and by then
the request has taken effect. So all of Litestar's routes, and each that is added, check where a
request that may change something comes from. The hot routes do not: predictions change nothing, and
without CORS a page cannot read their answers.

Source: Fetch Metadata Request Headers (W3C), and `Origin` in the Fetch standard. Neither can be set
by a page, and clients that are no browsers send neither.
"""

from litestar.handlers import BaseRouteHandler

from ml_pipeline.errors import Forbidden
from ml_pipeline.web.admin import Connection, Guard

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""

OWN = frozenset({b"same-origin", b"none"})
"""Values of Sec-Fetch-Site: for pages of this server, and for what no page does (a bookmark)."""


def cross_site_guard(origins: tuple[str, ...], *, any_with_token: bool) -> Guard:
    """Make the guard of all routes.

    Args:
        origins: That may call from a browser, as in CORS_ORIGINS.
        any_with_token: Whether a token is asked for. Only then does `*` among the origins count
            here, because a page can have the token from its reader alone. Without a token `*` would
            let every page in.
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
    """Give host and port; Origin, like Host, leaves out a port that is the scheme's default."""
    return origin.partition(b"://")[2].lower()
