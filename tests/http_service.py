"""An HTTP service in threads of the tests' process, for what servers and commands call."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Self

from tests.server import POLL_SECONDS


class QuietHandler(BaseHTTPRequestHandler):
    """Answers on connections that stay open, and writes no log."""

    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # an answer is one packet: two would wait 40 ms for each other

    def reply(self, status: int, content: bytes, **headers: str) -> None:
        """Send an answer; underscores in the names of headers stand for hyphens."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def read_body(self) -> bytes:
        """Read what came with the request; empty if it says of no length."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class HttpService:
    """Serves from the start of a `with` block to its end; open connections end with their clients.

    Args:
        handler: Answers requests, each connection's in a thread of its own.
        port: 0 for a free one.

    Attributes:
        port: On 127.0.0.1.
        url: Without a slash at its end.
    """

    def __init__(self, handler: type[BaseHTTPRequestHandler], *, port: int = 0) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = Thread(target=self._server.serve_forever, args=(POLL_SECONDS,))
        self.port: int = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
