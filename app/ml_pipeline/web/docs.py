"""Documentation: `/openapi.json`, `/docs` (Swagger UI), `/redoc`, without the internet.

The pages' third-party files lie beside those of the dashboard. Where they are missing the page says
so.
"""

from pathlib import Path
from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from ml_pipeline.web.assets import Assets, find_vendored
from ml_pipeline.web.openapi import openapi_document

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
"""Keeps the pages' scripts from calling out: ReDoc 3 would send traces to its makers.

Both set styles of their own, and ReDoc makes a worker.
"""

_own = ("swagger.js", "redoc.js")
_vendored = ("swagger-ui.css", "swagger-ui-bundle.js", "redoc.standalone.js")


def find_asset(name: str) -> Path | None:
    """Find an asset by name; None if there is no such asset, or it is not installed."""
    if name in _own:
        return PAGES / name
    return find_vendored(name) if name in _vendored else None


def docs_routes() -> list[HTTPRouteHandler]:
    """Make the handlers."""
    assets = Assets()

    @get("/openapi.json", sync_to_thread=False)
    def document() -> Response[bytes]:
        return Response(openapi_document(), media_type=MediaType.JSON)

    @get("/docs", media_type=MediaType.HTML, sync_to_thread=False)
    def swagger(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _page(request, "swagger.html", "swagger-ui-bundle.js")

    @get("/redoc", media_type=MediaType.HTML, sync_to_thread=False)
    def redoc(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _page(request, "redoc.html", "redoc.standalone.js")

    @get("/docs/assets/{name:str}")
    async def asset(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
        path = find_asset(name)
        if path is None:
            raise NotFoundException(f"asset: expected one that is installed, found {name[:64]!r}")
        return await assets.answer(request, path, {"Cache-Control": "public, max-age=3600"})

    handlers: list[Any] = [document, swagger, redoc, asset]
    return handlers


def _page(request: Request[Any, Any, Any], name: str, needs: str) -> Response[bytes]:
    """Give a page; its links are relative, for use behind a prefix: no slash at the end."""
    path = request.scope["raw_path"].decode("latin-1")
    if path.endswith("/"):
        location = f"../{path.rstrip('/').rsplit('/', 1)[-1]}"
        return Response(b"", status_code=307, headers={"Location": location})
    content = (PAGES / (name if find_asset(needs) else "missing.html")).read_bytes()
    headers = {"Content-Security-Policy": POLICY}
    return Response(content, media_type=MediaType.HTML, headers=headers)
