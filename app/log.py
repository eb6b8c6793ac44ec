"""Logging: structlog, one JSON line an event on standard output; lines for people on a terminal.

An event is a fixed name in snake_case, everything else is a key. A request's lines carry its
`request_id`. Nothing on the hot path logs below warning, but for the access line where it is
asked for.
"""

import logging
import sys
from typing import Any

import msgspec
import structlog


def configure(level: str, env: str | None) -> None:
    """Set up structlog for the process; before it, structlog's own defaults apply.

    Args:
        level: Least level written, lower case.
        env: `production` for JSON, `development` for people, None to ask the terminal.
    """
    people = sys.stdout.isatty() if env is None else env == "development"
    shared: list[Any] = [
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


def _to_json(event: dict[str, Any], **_: Any) -> bytes:
    return msgspec.json.encode(event, enc_hook=str)


def get_logger() -> Any:
    """Give the process's logger; its methods are the levels."""
    return structlog.get_logger()
