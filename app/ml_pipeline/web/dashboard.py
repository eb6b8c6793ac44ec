"""The dashboard at `/ui/`: the files of `ui/` that are part of the page, and no others."""

import re
from pathlib import Path
from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from ml_pipeline.web.assets import Assets, find_ui, find_vendored

PAGES = Path(__file__).parent / "pages"

POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
"""As Nginx sends it with the same files (nginx/nginx.conf.template)."""

is_part_of_the_page = re.compile(
    r"[\w-]+\.(?:css|svg)"
    r"|js/(?:[\w-]+/)*[\w-]+\.js"
    r"|vendor/[\w-]+(?:\.[\w-]+)*\.(?:css|js|txt)",
    re.ASCII,
).fullmatch
"""Names below `ui/`. A dot stands between letters alone, so none leads out of the folder."""

_headers = {"Cache-Control": "no-cache", "Content-Security-Policy": POLICY}


def dashboard_routes() -> list[HTTPRouteHandler]:
    """Make the handlers."""
    assets = Assets()

    @get("/ui/")
    async def dashboard(request: Request[Any, Any, Any]) -> Response[bytes]:
        # Litestar takes `/ui` and `/ui/` for one; the page's links need the slash.
        if not request.scope["raw_path"].endswith(b"/"):
            return Response(b"", status_code=307, headers={"Location": "ui/"})
        folder = find_ui()
        if folder is None or find_vendored("uPlot.iife.min.js") is None:
            content = (PAGES / "missing_dashboard.html").read_bytes()
            return Response(content, media_type=MediaType.HTML, headers=_headers)
        return await assets.answer(request, folder / "index.html", _headers)

    @get("/ui/{path:path}")
    async def part(request: Request[Any, Any, Any], path: FromPath[str]) -> Response[bytes]:
        name, folder = path.removeprefix("/"), find_ui()
        if folder is None or not is_part_of_the_page(name):
            raise NotFoundException(f"path: expected a file of the dashboard, found {name[:64]!r}")
        return await assets.answer(request, folder / name, _headers)

    handlers: list[Any] = [dashboard, part]
    return handlers
