"""When an answer stops being of use: by the server's limit, or by the client's own."""

from ml_pipeline.errors import DeadlineExceeded, InvalidInput
from ml_pipeline.fronts.http.message import Request
from ml_pipeline.web.conventions import parameter

TIMEOUT = parameter(
    "X-Request-Timeout-Ms",
    "header",
    "Milliseconds the answer is of use; later it is a 504.",
    type="integer",
    minimum=1,
    maximum=999_999_999,
)
"""Of every route that predicts."""


def read_deadline(request: Request, arrived: float, timeout_seconds: float) -> float:
    """Give the time, `time.monotonic()` seconds, after which an answer is of no use.

    The client's time counts from the first byte of its request, so a body that comes slowly uses it
    up. The server's own limit is for what follows, and counts from when it had been read whole.

    Raises:
        InvalidInput: `X-Request-Timeout-Ms` is no positive number.
        DeadlineExceeded: It has passed already.
    """
    asked = request.fields.get(b"x-request-timeout-ms")
    if asked is None:
        return arrived + timeout_seconds
    own = request.started + _read_timeout(asked)
    if own <= arrived:
        raise DeadlineExceeded(
            f"deadline: passed while the request was read, in {arrived - request.started:.3f} s"
        )
    return min(arrived + timeout_seconds, own)


def _read_timeout(value: bytes) -> float:
    """Read `X-Request-Timeout-Ms`; seconds.

    Raises:
        InvalidInput: It is no positive number.
    """
    if not (value.isdigit() and len(value) <= 9 and int(value) > 0):
        raise InvalidInput(
            "x-request-timeout-ms: expected a positive number of milliseconds, found "
            + repr(value[:24].decode("latin-1"))
        )
    return int(value) / 1000.0
