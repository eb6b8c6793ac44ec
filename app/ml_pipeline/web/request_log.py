"""What the log says of a request: which one it is, and of a slow one where its time went."""

from time import monotonic

from ml_pipeline.fronts.http.message import HeaderList
from ml_pipeline.log import cut, get_logger
from ml_pipeline.observe.trace_context import find_trace_parent
from ml_pipeline.protocols.base import Call
from ml_pipeline.protocols.timings import Timings, describe, phases
from ml_pipeline.web.exchange import Exchange


def identity(request_id: str, headers: HeaderList) -> dict[str, str]:
    """Tell which request a line is about: its id, and its trace where its caller named one."""
    parent = find_trace_parent(headers)
    if parent is None:
        return {"request_id": request_id}
    return {
        "request_id": request_id,
        "trace_id": parent.trace_id,
        "parent_span_id": parent.span_id,
    }


def summary(exchange: Exchange, status: int, seconds: float) -> dict[str, str | int | float]:
    """Tell of a request what every line about it as a whole says."""
    request = exchange.request
    client = {"client": exchange.client_name} if exchange.client_name else {}
    return {
        "method": request.method,
        "path": cut(request.path),
        "status": status,
        "seconds": round(seconds, 6),
        **identity(exchange.request_id, request.headers),
        **client,
    }


def log_slow(exchange: Exchange, status: int, seconds: float) -> None:
    """Write the one line of a request that took long, answered or not."""
    call = exchange.call
    get_logger().warning(
        "slow_request",
        **summary(exchange, status, seconds),
        **({} if call is None else _prediction(call, exchange.timings, seconds)),
    )


def _prediction(call: Call, timings: Timings, seconds: float) -> dict[str, str | int | float]:
    reading = seconds - (monotonic() - timings.arrived)
    parts = {"read": max(reading, 0.0), **phases(timings)}
    return {
        **describe(call, timings),
        **{f"{name}_seconds": round(value, 6) for name, value in parts.items()},
    }
