"""Errors as RFC 9457 problem details, or as the Open Inference Protocol has them."""

from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException

from ml_pipeline.engine.signature.schema import Problem, to_problem
from ml_pipeline.engine.wire.infer_schema import InferError
from ml_pipeline.errors import InferenceError, Unauthorized
from ml_pipeline.fronts.http.message import HeaderList, Reply
from ml_pipeline.log import get_logger
from ml_pipeline.web.request_log import identity

PROBLEM_TYPE = "application/problem+json"

NONE: HeaderList = []

INFERENCE_PROTOCOL = "/v2"
"""Below this path errors have the form of the Open Inference Protocol, `{"error": "…"}`, and
whatever is wrong with a body is a 400."""


def error_reply(
    error: Exception, request_id: str, path: str, request_headers: HeaderList = NONE
) -> Reply:
    """Answer what a hot route raised; an exception that is none of ours is logged, and is a 500."""
    problem = _problem(error, request_id, request_headers)
    status, media_type, body = _written(problem, path, error)
    headers: HeaderList = [(b"content-type", media_type.encode())]
    headers += [(name.encode(), value.encode()) for name, value in _extra(error).items()]
    return Reply(status, headers, body)


def not_allowed(method: str, allowed: str, request_id: str, path: str) -> Reply:
    """Answer a request whose method its route does not take."""
    problem = _wrong_method(method, allowed, request_id)
    status, media_type, body = _written(problem, path)
    return Reply(
        status, [(b"content-type", media_type.encode()), (b"allow", allowed.encode())], body
    )


def to_response(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's exception handler: the same answers for the ordinary routes."""
    request_id = request.scope["state"].get("request_id", "")  # its trace: `ml_pipeline.log.about`
    headers = dict(_extra(error))
    if isinstance(error, MethodNotAllowedException):
        headers["Allow"] = _with_head((error.headers or {}).get("allow", "GET"))
        problem = _wrong_method(request.method, headers["Allow"], request_id)
    elif isinstance(error, NotFoundException) and error.detail == "Not Found":
        detail = f"path: expected a route that /openapi.json lists, found {request.url.path[:64]!r}"
        problem = Problem("Not found", 404, detail, "not_found", request_id)
    else:
        problem = _problem(error, request_id)
    status, media_type, body = _written(problem, request.scope["path"], error)
    # As a header: Litestar would add a charset, which hides the text from KServe's client.
    return Response(body, status_code=status, headers={**headers, "content-type": media_type})


def _with_head(allowed: str) -> str:
    """Add HEAD, of which Litestar does not know: a HEAD reaches it as a GET."""
    return allowed.replace("GET", "GET, HEAD")


def _written(problem: Problem, path: str, error: Exception | None = None) -> tuple[int, str, bytes]:
    """Give status, media type and body, as the protocol of a path has them."""
    if path != INFERENCE_PROTOCOL and not path.startswith(INFERENCE_PROTOCOL + "/"):
        return problem.status, PROBLEM_TYPE, msgspec.json.encode(problem)
    status = getattr(error, "inference_status", None) or problem.status
    return status, "application/json", msgspec.json.encode(InferError(problem.detail))


def _wrong_method(method: str, allowed: str, request_id: str) -> Problem:
    detail = f"method: expected {allowed}, found {method[:16]}"
    return Problem("Method not allowed", 405, detail, "method_not_allowed", request_id)


def _problem(error: Exception, request_id: str, request_headers: HeaderList = NONE) -> Problem:
    if isinstance(error, HTTPException) and error.status_code < 500:
        code, title = "invalid_request", "Invalid request"
        if error.status_code == 404:
            code, title = "not_found", "Not found"
        return Problem(title, error.status_code, error.detail, code, request_id)
    if not isinstance(error, InferenceError):
        about = identity(request_id, request_headers)
        get_logger().error("request_failed", **about, exc_info=error)
        error = InferenceError("The server failed; its log has the reason under this request id.")
    elif error.status >= 500:
        about = identity(request_id, request_headers)
        get_logger().warning("request_refused", **about, code=error.code, detail=error.detail)
    return to_problem(error, request_id)


def _extra(error: Exception) -> dict[str, str]:
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": "Bearer"}
    seconds = getattr(error, "retry_after_seconds", None)
    return {} if seconds is None else {"Retry-After": str(seconds)}
