"""A small real server with a model of its own, which a test can let answer wrongly or late.

It runs in threads of the tests' process; each answer to `POST /predict` is the sum of each row.
"""

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

SAMPLE = {"data": [[1.0, 2.0], [3.0, 5.0]]}


class Reply(NamedTuple):
    """What is answered; without a status the connection is dropped."""

    status: int
    content: Any
    headers: Mapping[str, str] = MappingProxyType({})


DROP = Reply(0, None)
Spoil = Callable[[int], Reply | None]


class LittleServer:
    """Serves from the start of a `with` block to its end.

    Args:
        spoil: What to answer to a prediction of this number, from 0, if not the truth.
        stall: Number of the prediction at which everything stands still.
        stall_seconds: For how long.

    Attributes:
        url: Without a slash at its end.
    """

    def __init__(
        self, spoil: Spoil = lambda number: None, *, stall: int = -1, stall_seconds: float = 0.0
    ) -> None:
        self._spoil = spoil
        self._stall, self._stall_seconds = stall, stall_seconds
        self._numbers = itertools.count()
        self._turn = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def do_GET(self) -> None:
                self.reply(Reply(200, SAMPLE))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.reply(owner._answer(body))

            def reply(self, reply: Reply) -> None:
                if reply == DROP:
                    self.close_connection = True
                    return
                content = msgspec.json.encode(reply.content)
                self.send_response(reply.status)
                headers = {"Content-Length": str(len(content)), **reply.headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "LittleServer":
        """Begin to serve."""
        threading.Thread(target=self._server.serve_forever, args=(0.01,)).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; connections that are still open end with their clients."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, body: bytes) -> Reply:
        with self._turn:
            number = next(self._numbers)
            if number == self._stall:
                time.sleep(self._stall_seconds)
        spoilt = self._spoil(number)
        return right(body, number) if spoilt is None else spoilt


def right(body: bytes, number: int) -> Reply:
    """Give the truth, and something that differs each time."""
    rows = msgspec.json.decode(body)["data"]
    sums = [round(sum(row), 3) for row in rows]
    return Reply(200, {"predictions": sums, "model_info": {"number": number}}, {"X-Cache": "miss"})
