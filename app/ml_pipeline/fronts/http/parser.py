"""Bytes in, requests out, and nothing of sockets, clocks or the event loop.

A parser is told what came and when, and gives back events: requests, whole or refused, and signals.
It pauses by itself: a long read is parsed piece by piece, each when it is asked for. So whoever has
it may first answer what the last piece brought, or let somebody else have a turn.
"""

from ml_pipeline.errors import NotReady
from ml_pipeline.fronts.http.assembler import Assembler
from ml_pipeline.fronts.http.events import Event
from ml_pipeline.fronts.http.hosts import Hosts
from ml_pipeline.fronts.http.kept_head import KeptHead

PIECE_BYTES = 8192
"""Of a read are parsed in one go, but for a body, which is one piece: 300 requests, or 1,400 chunks
of a body, 2 ms at most. A longer read is parsed request by request."""


class Parser:
    """Reads what one client sends.

    Args:
        client: Address and port, which stand in each request.
        max_body_bytes: Bound on a body, which is refused as soon as it is beyond.
        hosts: That requests may be for; None = any.

    Attributes:
        has_unread: Whether `go_on` has something to parse.
    """

    __slots__ = (
        *("has_unread", "_client", "_assembler", "_kept_head"),
        *("_unread", "_unread_from", "_began_between"),
    )

    def __init__(
        self, client: tuple[str, int], max_body_bytes: int, hosts: Hosts | None = None
    ) -> None:
        self._client = client
        self._assembler = Assembler(client, max_body_bytes, hosts)
        self._kept_head = KeptHead()
        self._unread = b""  # what came last, unless all of it is parsed
        self._unread_from = 0
        self._began_between = True  # two requests, when it came
        self.has_unread = False

    @property
    def is_half_read(self) -> bool:
        """Whether a head has been read, and not all of its body."""
        return self._assembler.is_half_read

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take what came, and parse all of it, or of a long read the first piece.

        Args:
            data: One read; not before all of the last one is parsed.
            now: `time.monotonic()` seconds; requests that begin in what is parsed began then.
        """
        if (request := self._kept_head.read(data, now, self._client)) is not None:
            return [request]
        self._began_between = self._assembler.is_between
        if len(data) > PIECE_BYTES:
            self._unread, self._unread_from = data, 0
            return self.go_on(now)
        events = self._assembler.feed(data, now)
        if events and self._began_between:
            self._kept_head.keep(data, events[-1])
        return events

    def go_on(self, now: float) -> list[Event]:
        """Parse the next piece of what came.

        Args:
            now: As for `receive`.
        """
        data, begin = self._unread, self._unread_from
        self._unread_from = end = begin + self._piece_bytes(begin)
        is_all = begin == 0 and end >= len(data)
        events = self._assembler.feed(data if is_all else memoryview(data)[begin:end], now)
        self.has_unread = end < len(data) and not self._assembler.is_closed
        if not self.has_unread:
            self._unread = b""
            if events and self._began_between:
                self._kept_head.keep(data, events[-1])
        return events

    def refuse_half_read(self) -> list[Event]:
        """Give up a request whose body does not come while there is time."""
        return self._assembler.give_up(
            NotReady(
                "body: expected its end before that of the server, found none",
                retry_after_seconds=1,
            )
        )

    def close(self) -> None:
        """Drop what is unread, and read nothing further."""
        self._unread, self.has_unread = b"", False
        self._assembler.close()

    def _piece_bytes(self, begin: int) -> int:
        """Give the length of what is parsed next: a head, a body, or a piece of either."""
        if self._assembler.is_in_head:
            end = self._unread.find(b"\r\n\r\n", begin, begin + PIECE_BYTES)
            return PIECE_BYTES if end < 0 else end + 4 - begin
        return max(PIECE_BYTES, self._assembler.missing_bytes)
