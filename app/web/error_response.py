"""Errors as RFC 9457 problem details, for the hot routes and for Litestar's."""

from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from app.engine.schema import Problem, to_problem
from app.errors import InferenceError
from app.log import get_logger
from app.web.exchange import HeaderList, Reply

PROBLEM_TYPE = "application/problem+json"

_titles = {
    404: ("not_found", "Not found"),
    405: ("method_not_allowed", "Method not allowed"),
}


def problem_reply(error: Exception, request_id: str) -> Reply:
    """Answer for anything a hot route raised; what is not ours is logged and told as a 500."""
    problem = _problem(error, request_id)
    headers: HeaderList = [(b"content-type", PROBLEM_TYPE.encode())]
    headers += [(name.encode(), value.encode()) for name, value in _extra(error).items()]
    return Reply(problem.status, headers, msgspec.json.encode(problem))


def not_allowed(method: str, allowed: str, request_id: str) -> Reply:
    """Answer for a method that a hot route does not take."""
    problem = Problem(
        "Method not allowed",
        405,
        f"method: expected {allowed}, found {method[:16]}",
        "method_not_allowed",
        request_id,
    )
    headers = [(b"content-type", PROBLEM_TYPE.encode()), (b"allow", allowed.encode())]
    return Reply(405, headers, msgspec.json.encode(problem))


def to_response(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's exception handler: the same answer for the ordinary routes."""
    problem = _problem(error, request.scope["state"].get("request_id", ""))
    headers = dict(_extra(error))
    if isinstance(error, HTTPException) and error.headers:
        headers |= {name: value for name, value in error.headers.items() if name == "Allow"}
    return Response(
        msgspec.json.encode(problem),
        status_code=problem.status,
        media_type=PROBLEM_TYPE,
        headers=headers,
    )


def _problem(error: Exception, request_id: str) -> Problem:
    if isinstance(error, HTTPException) and error.status_code < 500:
        code, title = _titles.get(error.status_code, ("invalid_request", "Invalid request"))
        return Problem(title, error.status_code, error.detail, code, request_id)
    if not isinstance(error, InferenceError):
        get_logger().error("request_failed", request_id=request_id, exc_info=error)
        error = InferenceError("The server failed; its log has the reason under this request id.")
    elif error.status >= 500:
        get_logger().warning(
            "request_refused", request_id=request_id, code=error.code, detail=error.detail
        )
    return to_problem(error, request_id)


def _extra(error: Exception) -> dict[str, str]:
    seconds = getattr(error, "retry_after_seconds", None)
    return {} if seconds is None else {"Retry-After": str(seconds)}
