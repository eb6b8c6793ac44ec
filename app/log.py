"""Logging: structlog, one JSON line an event on standard output; lines for people on a terminal.

An event is a fixed name in snake_case, everything else is a key. A request's lines carry its
`request_id`: the hot path gives it with each line, what runs in a task of its own by way of
`about`. Nothing on the hot path logs below warning, but for the access line where it is asked for.
"""

import logging
import sys
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any

import msgspec
import structlog

_about: ContextVar[Callable[[], dict[str, str]] | None] = ContextVar("about", default=None)


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
    logger_factory: Any
    if people:
        processors = [*shared, structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())]
        logger_factory = structlog.WriteLoggerFactory(sys.stdout)
    else:
        processors = [
            *shared,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_to_json),
        ]
        logger_factory = structlog.BytesLoggerFactory(sys.stdout.buffer)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=logger_factory,
        cache_logger_on_first_use=False,
    )


def log_unhandled(_: object, context: dict[str, Any]) -> None:
    """Write what asyncio would write to standard error; the event loop's exception handler."""
    get_logger().error(
        "unhandled", message=context.get("message"), exc_info=context.get("exception")
    )


def about(tell: Callable[[], dict[str, str]]) -> Context:
    """Make a context for a task, whose lines carry what `tell` says; called when there is one."""
    context = copy_context()
    context.run(_about.set, tell)
    return context


def _tell_about(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    tell = _about.get()
    return event if tell is None else {**tell(), **event}


def _to_json(event: dict[str, Any], **_: Any) -> bytes:
    return msgspec.json.encode(event, enc_hook=str)


def get_logger() -> Any:
    """Give the process's logger; its methods are the levels."""
    return structlog.get_logger()
