"""A parser that is fed without a connection."""

from collections.abc import Iterable
from typing import Any

from ml_pipeline.fronts.http.events import Event
from ml_pipeline.fronts.http.message import Request
from ml_pipeline.fronts.http.parser import Parser


def new_parser() -> Parser:
    """A parser that takes bodies of 1,000 bytes."""
    return Parser(("127.0.0.1", 1), 1000)


def parse(parser: Parser, reads: Iterable[bytes]) -> list[Event]:
    """Feed a parser, and give all that it tells until a request that is the last.

    The clock is the number of the piece, from 1 on.
    """
    events: list[Event] = []
    now = 0.0
    for data in reads:
        if is_over(events):
            break
        events += parser.receive(data, now := now + 1.0)
        while parser.has_unread:
            events += parser.go_on(now := now + 1.0)
    return events


def is_over(events: list[Event]) -> bool:
    """Whether nothing is read any more."""
    return any(isinstance(event, Request) and not event.keep_alive for event in events)


def requests(events: list[Event]) -> list[Request]:
    """Those among events, whole or refused."""
    return [event for event in events if isinstance(event, Request)]


def told(events: list[Event]) -> list[dict[str, Any]]:
    """All that is known of requests, but for the time."""
    names = [name for name in Request.__struct_fields__ if name not in ("started", "fault")]
    return [
        {"fault": request.fault and str(request.fault)}
        | {name: getattr(request, name) for name in names}
        for request in requests(events)
    ]
