"""The dashboard at `/ui/`: those files of the folder `ui/` that are part of the page."""

import re
from pathlib import Path
from typing import Any

from litestar import MediaType, Request, Response
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from ml_pipeline.web.assets import Assets, find_ui, find_vendored
from ml_pipeline.web.operation import HTML, Operation
from ml_pipeline.web.serves import serves, serves_files

PAGE = Operation("get", "/ui/", "The dashboard", {HTML: str}, audience="open", with_files=True)
OPERATIONS = (PAGE,)

PAGES = Path(__file__).parent / "pages"

POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
"""The same that Nginx sends with these files (nginx/nginx.conf.template)."""

is_part_of_the_page = re.compile(
    r"[\w-]+\.(?:css|svg)"
    r"|js/(?:[\w-]+/)*[\w-]+\.js"
    r"|vendor/[\w-]+(?:\.[\w-]+)*\.(?:css|js|txt)",
    re.ASCII,
).fullmatch
"""Names below `ui/`. Dots are allowed only between letters, so no name leads out of the folder."""

_headers = {"Cache-Control": "no-cache", "Content-Security-Policy": POLICY}


def dashboard_routes() -> list[HTTPRouteHandler]:
    """Make the handlers."""
    assets = Assets()

    @serves(PAGE)
    async def dashboard(request: Request[Any, Any, Any]) -> Response[bytes]:
        # Litestar takes `/ui` for `/ui/`, but the page's relative links need the slash.
        if not request.scope["raw_path"].endswith(b"/"):
            return Response(b"", status_code=307, headers={"Location": "ui/"})
        folder = find_ui()
        if folder is None or find_vendored("uPlot.iife.min.js") is None:
            content = (PAGES / "missing_dashboard.html").read_bytes()
            return Response(content, media_type=MediaType.HTML, headers=_headers)
        return await assets.answer(request, folder / "index.html", _headers)

    @serves_files(PAGE, "{path:path}")
    async def part(request: Request[Any, Any, Any], path: FromPath[str]) -> Response[bytes]:
        name, folder = path.removeprefix("/"), find_ui()
        if folder is None or not is_part_of_the_page(name):
            raise NotFoundException(f"path: expected a file of the dashboard, found {name[:64]!r}")
        return await assets.answer(request, folder / name, _headers)

    return [dashboard, part]
