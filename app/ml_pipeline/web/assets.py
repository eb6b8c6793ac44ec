"""Files that pages load: where they lie, and how one is answered.

Litestar's static files have an ETag but never answer 304, and its compression compresses each
answer anew (redoc's bundle: 54 ms). Here a file is read, compressed and hashed once, and again when
it has changed.
"""

import asyncio
import gzip
import hashlib
import sys
from pathlib import Path
from typing import Any, NamedTuple

from litestar import Request, Response
from litestar.exceptions import NotFoundException

from ml_pipeline.web.accept import MAX_NAMES, read_weights

_media_types = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}

_least_compressed_bytes = 1000
"""A smaller file fits into one packet uncompressed."""


def find_ui() -> Path | None:
    """Find the dashboard's folder: in a checkout beside `app`, else where an image has it."""
    checkout = Path(__file__).parents[3] / "ui"
    installed = Path(sys.prefix) / "share" / "ml-pipeline" / "ui"
    return next((path for path in (checkout, installed) if (path / "index.html").is_file()), None)


def find_vendored(name: str) -> Path | None:
    """Find a third-party file; None if it is not installed (`ops/vendor` does)."""
    folder = find_ui()
    path = folder and folder / "vendor" / name
    return path if path and path.is_file() else None


class _Kept(NamedTuple):
    """A file as it was when `changed` was its time of change and its size."""

    changed: tuple[int, int]
    content: bytes
    compressed: bytes
    digest: str


class Assets:
    """Answers files, each kept in memory in the forms it is sent in. Event loop only."""

    def __init__(self) -> None:
        self._kept: dict[Path, _Kept] = {}

    async def answer(
        self, request: Request[Any, Any, Any], path: Path, headers: dict[str, str]
    ) -> Response[bytes]:
        """Answer a file whole, compressed where the client takes that, or 304 if it has it.

        Args:
            request: For what the client has and takes.
            path: Trusted: it is read as it is.
            headers: Sent too.

        Raises:
            NotFoundException: There is no such file.
        """
        kept = await self._read(path)
        compressed = bool(kept.compressed) and takes_gzip(request)
        tag = f'"{kept.digest}{"-gzip" if compressed else ""}"'
        headers = {
            **headers,
            "ETag": tag,
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
        }
        if _has(request, tag):
            return Response(b"", status_code=304, headers=headers)
        if compressed:
            headers["Content-Encoding"] = "gzip"
        content = kept.compressed if compressed else kept.content
        return Response(content, media_type=_media_types[path.suffix], headers=headers)

    async def _read(self, path: Path) -> _Kept:
        try:
            changed = _changed(path)
            kept = self._kept.get(path)
            if kept is None or kept.changed != changed:
                # In a thread, because predictions would wait for the compression.
                kept = self._kept[path] = await asyncio.to_thread(_load, path, changed)
        except OSError:
            detail = f"path: expected a file that is installed, found {path.name[:64]!r}"
            raise NotFoundException(detail) from None
        return kept


def _changed(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def _load(path: Path, changed: tuple[int, int]) -> _Kept:
    content = path.read_bytes()
    compressed = b""
    if len(content) >= _least_compressed_bytes:
        compressed = gzip.compress(content, 6, mtime=0)
    return _Kept(changed, content, compressed, hashlib.sha256(content).hexdigest()[:32])


def takes_gzip(request: Request[Any, Any, Any]) -> bool:
    """Whether `Accept-Encoding` names gzip, or all, and not with a weight of 0."""
    weights = read_weights(request.headers.get("accept-encoding", ""))
    return weights.get("gzip", weights.get("*", 0.0)) > 0.0


def _has(request: Request[Any, Any, Any], tag: str) -> bool:
    """Whether `If-None-Match` holds the tag; a proxy that compresses makes tags weak."""
    tags = request.headers.get("if-none-match", "").split(",", MAX_NAMES)
    return any(each.strip().removeprefix("W/") in (tag, "*") for each in tags)
