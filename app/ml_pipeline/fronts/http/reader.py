"""What one client sends: bytes → requests, without parsing the same twice, or too much at once."""

from time import monotonic
from typing import TYPE_CHECKING

from ml_pipeline.fronts.http.head import split_target
from ml_pipeline.fronts.http.message import Request
from ml_pipeline.fronts.http.parser import Parser

if TYPE_CHECKING:
    from ml_pipeline.fronts.http.listener import Listener

PIECE_BYTES = 8192
"""Of a read are parsed in one go, but for a body, which is one piece: 300 requests, or 1,400 chunks
of a body, 2 ms at most. A longer read is parsed request by request."""

TURN_SECONDS = 0.0005
"""After which a connection that has more to do waits for the next turn of the event loop. A request
of somebody else takes up to five turns."""

MAX_KEPT_BYTES = 2048
"""Of a head that is kept for the next request; a connection may be idle for long."""

MAX_KEPT_IN_VAIN = 8
"""Heads in a row, each unlike the one before: no more of this connection's are kept."""


class Reader(Parser):
    """The reading half of a connection, which is its subclass.

    Most clients say the same before each body: then the head is known by its bytes, and what was
    read from them the last time is taken without parsing, for a tenth of the CPU of a prediction.
    It cannot differ, as the parser is where it was then, between two requests. Behind Nginx no head
    is like the one before: it has a request id in it.
    """

    __slots__ = (
        *("_unread", "_unread_from"),
        *("_kept_head", "_kept_bytes", "_kept_line", "_kept_in_vain"),
    )

    def __init__(self, listener: "Listener") -> None:
        super().__init__(listener)
        self._unread = b""  # a read that is parsed in pieces, from `_unread_from` on
        self._unread_from = 0
        self._kept_head = b""  # of the last request
        self._kept_bytes = -1  # of it with its body; -1 if the next one may not be read like it
        self._kept_line = ("", "", b"", b"")  # method, path, path as sent, query
        self._kept_in_vain = 0  # since one was met again

    def _go_on_soon(self) -> None:
        """Read no more for now, and go on with what is there in the next turn of the event loop."""
        raise NotImplementedError

    def data_received(self, data: bytes) -> None:
        """Parse what came; complete requests are answered from within."""
        if self._closing:
            return  # what a client goes on sending after it was refused
        if len(data) == self._kept_bytes and data.startswith(self._kept_head):
            body = data[len(self._kept_head) :]
            line, self._kept_in_vain = self._kept_line, 0
            self._take(
                Request(*line, self._headers, self._fields, body, monotonic(), self._client, True)
            )
            return
        self._kept_bytes, self._num_read = -1, 0
        began_between = self._between
        if len(data) <= PIECE_BYTES:
            self._parse(data)
        else:
            self._unread, self._unread_from = data, 0
            self._read_on(monotonic() + TURN_SECONDS)
            if self._unread:
                self._go_on_soon()
        if (
            began_between
            and self._between
            and not self._unread
            and self._num_read == 1
            and self._kept_in_vain < MAX_KEPT_IN_VAIN
        ):
            self._keep_head(data)

    def _read_on(self, until: float) -> None:
        """Parse a read request by request, until one waits or the time is up; forget it then."""
        data = self._unread
        while not (self._waiting or self._closing):
            begin = self._unread_from
            self._unread_from = end = begin + self._piece_bytes(begin)
            self._parse(data if begin == 0 and end >= len(data) else memoryview(data)[begin:end])
            if end >= len(data):
                self._unread = b""
                return
            if monotonic() > until:
                break
        if self._closing:
            self._unread = b""

    def _piece_bytes(self, begin: int) -> int:
        """Give the length of what is parsed next: a head, a body, or a piece of either."""
        if self._between or self._in_head:
            end = self._unread.find(b"\r\n\r\n", begin, begin + PIECE_BYTES)
            return PIECE_BYTES if end < 0 else end + 4 - begin
        return max(PIECE_BYTES, self._length - len(self._body))

    def _keep_head(self, data: bytes) -> None:
        """Keep the head of the one request that `data` is, if nothing but its body may change."""
        head_bytes = data.find(b"\r\n\r\n") + 4
        if (
            head_bytes <= MAX_KEPT_BYTES
            and head_bytes + self._length == len(data)
            and not (self._closing or b"expect" in self._fields)
            and self._parser.get_http_version() == "1.1"
        ):
            self._kept_head, self._kept_bytes = data[:head_bytes], len(data)
            method = self._parser.get_method().decode("latin-1")
            self._kept_line = (method, *split_target(self._target))
            self._kept_in_vain += 1
