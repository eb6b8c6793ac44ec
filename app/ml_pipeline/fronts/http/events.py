"""What a parser tells: requests, whole or refused, and what has to be known before their end."""

from enum import Enum

from ml_pipeline.fronts.http.message import Request


class Signal(Enum):
    """What is no request yet.

    Attributes:
        CONTINUE: The client waits to be told to send its body (RFC 9110, 10.1.1).
        BEGUN: A request has begun, and its end has not come.
    """

    CONTINUE = "continue"
    BEGUN = "begun"


Event = Request | Signal
"""A request with a fault is the last event of a connection."""
