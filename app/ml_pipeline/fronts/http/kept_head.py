"""The head that comes again: known by its bytes, and not parsed a second time.

Most clients say the same before each body: then what was read from a head the last time is taken
without parsing, for a tenth of the CPU of a prediction. It cannot differ, as the parser is where it
was then, between two requests. Behind Nginx no head is like the one before: it has a request id in
it.
"""

from ml_pipeline.fronts.http.events import Event
from ml_pipeline.fronts.http.message import HeaderList, Request

MAX_KEPT_BYTES = 2048
"""Of a head that is kept for the next request; a connection may be idle for long."""

MAX_KEPT_IN_VAIN = 8
"""Heads in a row, each unlike the one before: no more of this connection's are kept."""


class KeptHead:
    """The head of a connection's last request, if the next one may be read like it."""

    __slots__ = ("_head", "_known", "_num_bytes", "_num_in_vain")

    def __init__(self) -> None:
        self._head = b""
        self._num_bytes = -1  # of it with its body; -1 if the next one may not be read like it
        self._known: tuple[str, str, bytes, bytes, HeaderList, dict[bytes, bytes]]
        self._num_in_vain = 0  # heads that were kept since one was met again

    def read(self, data: bytes, now: float, client: tuple[str, int]) -> Request | None:
        """Read a request that has this head, and a body as long as the last one's.

        Args:
            data: All that came, between two requests.
            now: `time.monotonic()` seconds.
            client: Who sent it.

        Returns:
            The request; None if it is another, which has to be parsed. Then no head is kept.
        """
        if len(data) != self._num_bytes or not data.startswith(self._head):
            self._num_bytes = -1
            return None
        self._num_in_vain = 0
        return Request(*self._known, data[len(self._head) :], now, client, True)

    def keep(self, data: bytes, event: Event) -> None:
        """Keep a request's head, if `data` is that and no more, and only the body may change.

        Args:
            data: All that came, from between two requests on.
            event: The last that was read of it.
        """
        if self._num_in_vain >= MAX_KEPT_IN_VAIN or not isinstance(event, Request):
            return
        head_bytes = data.find(b"\r\n\r\n", 0, MAX_KEPT_BYTES) + 4
        if (
            head_bytes + len(event.body) == len(data)
            and event.keep_alive
            and not event.is_http_1_0
            and b"expect" not in event.fields
        ):
            self._head, self._num_bytes = data[:head_bytes], len(data)
            self._known = (
                *(event.method, event.path, event.raw_path, event.query_string),
                *(event.headers, event.fields),
            )
            self._num_in_vain += 1
