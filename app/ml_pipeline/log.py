"""Logging: structlog, one JSON line an event on standard output; lines for people on a terminal.

An event is a fixed name in snake_case, everything else is a key. A request's lines carry its
`request_id`: the hot path gives it with each line, what runs in a task of its own by way of
`about`. Nothing on the hot path logs below warning, but for the access line where it is asked for.
A line that cannot be written is lost, never a request: see `Lines`.
"""

import logging
import os
import select
import sys
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any

import msgspec
import structlog

_about: ContextVar[Callable[[], dict[str, str]] | None] = ContextVar("about", default=None)

PIPE_BYTES = 4096
"""What a pipe that is ready takes without making its writer wait (pipe(7): PIPE_BUF)."""

MAX_TOLD = 1000
"""Characters of a path in a line; a head may have 64 KiB of it."""


class Lines:
    """Writes lines to a descriptor, and neither waits nor fails.

    A disk may be full, a pipe's reader gone or asleep: then lines are lost, and counted. Nothing is
    buffered here: what could not be written would stand in the way of all that follows.

    Args:
        descriptor: Standard output's, or standard error's.
        on_loss: Told, after the first line that can be written again, how many were lost in all.
    """

    def __init__(self, descriptor: int, on_loss: Callable[[int], None]) -> None:
        self._descriptor = descriptor
        self._on_loss = on_loss
        self._num_lost = 0
        self._untold = False
        self._torn = False  # the last line ends in its middle
        self._ready = select.poll()
        self._ready.register(descriptor, select.POLLOUT)

    def msg(self, line: str | bytes) -> None:
        """Write a line, or count it as lost."""
        data = line.encode(errors="replace") if isinstance(line, str) else line
        if not self._write(b"%b%b\n" % (b"\n" if self._torn else b"", data)):
            self._num_lost += 1
            self._untold = True
        elif self._untold:
            self._untold = False
            self._on_loss(self._num_lost)

    log = debug = info = warning = error = critical = exception = fatal = failure = msg

    def _write(self, data: bytes) -> bool:
        written = 0
        try:
            while written < len(data) and self._ready.poll(0):
                written += os.write(self._descriptor, data[written : written + PIPE_BYTES])
        except OSError:  # full, or nobody reads
            pass
        if written:
            self._torn = written < len(data)
        return written == len(data)


def configure(level: str, env: str | None) -> None:
    """Set up structlog for the process; before it, structlog's own defaults apply.

    Args:
        level: Least level written, lower case.
        env: `production` for JSON, `development` for people, None to ask the terminal.
    """
    people = sys.stdout.isatty() if env is None else env == "development"
    shared: list[Any] = [
        _tell_about,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=not people),
    ]
    if people:
        # Not structlog's own choice, rich: that writes local variables, among them bodies and API
        # keys, and takes 0.1 s for it, in which nobody is answered.
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        processors = [*shared, renderer]
    else:
        processors = [
            *shared,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_to_json),
        ]
    lines = Lines(sys.stdout.fileno(), _tell_loss)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )


def log_unhandled(_: object, context: dict[str, Any]) -> None:
    """Write what asyncio would write to standard error; the event loop's exception handler."""
    get_logger().error(
        "unhandled", message=context.get("message"), exc_info=context.get("exception")
    )


def cut(text: str) -> str:
    """Give what a client made up, such as a path, as it is told: of a long one the beginning."""
    if len(text) <= MAX_TOLD:
        return text
    return f"{text[:MAX_TOLD]}… (cut, {len(text)} characters)"


def about(tell: Callable[[], dict[str, str]]) -> Context:
    """Make a context for a task, whose lines carry what `tell` says; called when there is one."""
    context = copy_context()
    context.run(_about.set, tell)
    return context


def _tell_about(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    tell = _about.get()
    return event if tell is None else {**tell(), **event}


def say(text: str) -> None:
    """Tell people something on standard error, if anybody can be told."""
    Lines(sys.stderr.fileno(), lambda _: None).msg(text)


def _tell_loss(num_lines: int) -> None:
    get_logger().warning("log_lines_lost", num_lines=num_lines)


def _to_json(event: dict[str, Any], **_: Any) -> bytes:
    return msgspec.json.encode(event, enc_hook=str)


def get_logger() -> Any:
    """Give the process's logger; its methods are the levels."""
    return structlog.get_logger()
