"""Documentation: `/openapi.json`, `/docs` (Swagger UI), `/redoc`, without the internet.

The third-party files of the pages are installed beside those of the dashboard. Where they are
missing, the page says so.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from litestar import MediaType, Request, Response
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from ml_pipeline.web.assets import Assets, find_vendored
from ml_pipeline.web.operation import HTML, JSON, Operation
from ml_pipeline.web.serves import serves, serves_files

DOCUMENT = Operation(
    "get", "/openapi.json", "This document", {JSON: dict[str, Any]}, audience="open"
)
SWAGGER = Operation("get", "/docs", "Swagger UI", {HTML: str}, audience="open", with_files=True)
REDOC = Operation("get", "/redoc", "ReDoc", {HTML: str}, audience="open")
OPERATIONS = (DOCUMENT, SWAGGER, REDOC)

PAGES = Path(__file__).parent / "pages"

POLICY = "; ".join(
    (
        "default-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src data:",
        "worker-src blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Keeps the pages' scripts from calling other servers: ReDoc 3 would send traces to its makers.

Inline styles are allowed because both scripts set some, and blob workers because ReDoc starts one.
"""

_own = ("swagger.js", "redoc.js")
_vendored = ("swagger-ui.css", "swagger-ui-bundle.js", "redoc.standalone.js")


def find_asset(name: str) -> Path | None:
    """Find an asset by name; None if there is no such asset, or it is not installed."""
    if name in _own:
        return PAGES / name
    return find_vendored(name) if name in _vendored else None


def docs_routes(write_document: Callable[[], bytes]) -> list[HTTPRouteHandler]:
    """Make the handlers; the document is asked for each time, so it should be kept."""
    assets = Assets()

    @serves(DOCUMENT)
    def document() -> Response[bytes]:
        return Response(write_document(), media_type=MediaType.JSON)

    @serves(SWAGGER, media_type=HTML)
    def swagger(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _page(request, "swagger.html", "swagger-ui-bundle.js")

    @serves(REDOC, media_type=HTML)
    def redoc(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _page(request, "redoc.html", "redoc.standalone.js")

    @serves_files(SWAGGER, "assets/{name:str}")
    async def asset(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
        path = find_asset(name)
        if path is None:
            raise NotFoundException(f"asset: expected one that is installed, found {name[:64]!r}")
        return await assets.answer(request, path, {"Cache-Control": "public, max-age=3600"})

    return [document, swagger, redoc, asset]


def _page(request: Request[Any, Any, Any], name: str, needs: str) -> Response[bytes]:
    """Answer a page; its links are relative, so its own path must not end in a slash."""
    path = request.scope["raw_path"].decode("latin-1")
    if path.endswith("/"):
        location = f"../{path.rstrip('/').rsplit('/', 1)[-1]}"
        return Response(b"", status_code=307, headers={"Location": location})
    content = (PAGES / (name if find_asset(needs) else "missing.html")).read_bytes()
    headers = {"Content-Security-Policy": POLICY}
    return Response(content, media_type=MediaType.HTML, headers=headers)
