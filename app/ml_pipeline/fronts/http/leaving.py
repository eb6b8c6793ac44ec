"""Looks whether a client that has said all has gone: the event loop does not, once it has."""

import asyncio
import socket
from collections.abc import Callable

from ml_pipeline.fronts.http.service import Service

FIRST_LOOK_SECONDS = 0.01
"""After an end that may be a client's leaving; later looks take twice as long each."""


def look_for_reset(
    transport: asyncio.Transport,
    service: Service,
    is_waited_for: Callable[[], bool],
    seconds: float = FIRST_LOOK_SECONDS,
) -> None:
    """Look now and again, and end the connection if its other side has reset it.

    Args:
        transport: On which nothing more can be read.
        service: Whose loop and patience count.
        is_waited_for: Whether an answer is still worked out; looked for no longer than that.
        seconds: Until the next look.
    """
    if transport.is_closing() or not is_waited_for():
        return
    client = transport.get_extra_info("socket")
    if client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        transport.abort()
    else:
        longer = min(2.0 * seconds, service.patience.sweep_seconds)
        service.loop.call_later(seconds, look_for_reset, transport, service, is_waited_for, longer)
