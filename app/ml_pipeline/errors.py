"""The error tree, drawn on the way of a request.

    *admit* → bytes → *decode* → rows → *check* → valid rows → *queue* → batch → *run* → outputs

An error belongs to the arrow that raises it:

    InferenceError
    ├── admit    Unauthorized 401: API keys, admin routes; Forbidden 403: admin routes, other
    │            sites' pages; Misdirected 421: other servers' names; UnsupportedVersion 505
    ├── decode   MalformedRequest 400, UnsupportedMediaType 415, BodyTooLarge 413, HeadTooLarge 431,
    │            TargetTooLong 414
    ├── check    InvalidInput 422, ModelNotFound 404
    ├── queue    Overloaded 503, NotReady 503, DeadlineExceeded 504
    ├── run      RunRefused 500 (400 under the Open Inference Protocol), RunFailed 500
    └── load     ModelLoadError 422: a model file that cannot be served

Each class carries the HTTP status and the machine-readable code of its answer, as hints for the
web layer, which this module does not know. The text of an error reaches the client: it names the
field, the expected and the found, and never holds the payload.
"""

from typing import ClassVar


class InferenceError(Exception):
    """Base of everything this server says no with.

    Attributes:
        status: HTTP's.
        inference_status: The same under the Open Inference Protocol, where it differs: it knows no
            other word than 400 for what is wrong with a request.
        code: Machine-readable.
        title: In words, the same for all of a class.
        detail: One sentence for the caller.
        retry_after_seconds: When a repeat is likely to succeed; None where it never is.
    """

    status: ClassVar[int] = 500
    inference_status: ClassVar[int | None] = None
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds


class Unauthorized(InferenceError):
    """An admin route was called without its token, or another one without the API key it needs."""

    status = 401
    code = "unauthorized"
    title = "Unauthorized"


class Forbidden(InferenceError):
    """A route that may change something is closed to this caller, whatever it sends."""

    status = 403
    code = "forbidden"
    title = "Forbidden"


class Misdirected(InferenceError):
    """The request is for a host that this server is not, by its Host header."""

    status = 421
    code = "misdirected"
    title = "Misdirected request"


class UnsupportedVersion(InferenceError):
    """The request is of another HTTP than HTTP/1.1 and HTTP/1.0."""

    status = 505
    code = "http_version_not_supported"
    title = "HTTP version not supported"


class MalformedRequest(InferenceError):
    """The request is no HTTP, or its body not JSON, or not MessagePack."""

    status = 400
    code = "malformed_request"
    title = "Malformed request"


class ModelNotFound(InferenceError):
    """No model of that name is loaded."""

    status = 404
    code = "model_not_found"
    title = "Model not found"


class BodyTooLarge(InferenceError):
    """The body has more bytes than MAX_BODY_BYTES."""

    status = 413
    code = "body_too_large"
    title = "Body too large"


class TargetTooLong(InferenceError):
    """Path and query have more bytes than are read."""

    status = 414
    code = "uri_too_long"
    title = "URI too long"


class HeadTooLarge(InferenceError):
    """Request line and headers have more bytes than a connection takes."""

    status = 431
    code = "headers_too_large"
    title = "Headers too large"


class UnsupportedMediaType(InferenceError):
    """The body is of a content type this route does not read."""

    status = 415
    code = "unsupported_media_type"
    title = "Unsupported media type"


class InvalidInput(InferenceError):
    """The body parses, and a field of it has the wrong type, shape or value."""

    status = 422
    inference_status = 400
    code = "invalid_input"
    title = "Invalid input"


class ModelLoadError(InferenceError):
    """Model files are missing, corrupt, or contradict their metadata.

    Attributes:
        faults: A sentence each; `detail` has them all, or the first of very many.
    """

    status = 422
    inference_status = 400
    code = "model_load_failed"
    title = "Model cannot be loaded"
    _most_told = 20

    def __init__(self, *faults: str) -> None:
        told = list(faults[: self._most_told])
        if more := len(faults) - len(told):
            told.append(f"and {more} more, which the log has")
        super().__init__("; ".join(told))
        self.faults = faults


class RunFailed(InferenceError):
    """A run ended without outputs, or they do not fit the rows."""

    code = "run_failed"
    title = "Model run failed"


class RunRefused(InferenceError):
    """ONNX Runtime refused the run.

    Mostly the rows are at fault, such as an index beyond a table, but it does not say so.
    """

    inference_status = 400
    code = "run_refused"
    title = "Model run refused"


class Overloaded(InferenceError):
    """More rows wait than the queue may hold, or than can be run in time."""

    status = 503
    code = "overloaded"
    title = "Overloaded"


class NotReady(InferenceError):
    """The server is starting or draining."""

    status = 503
    code = "not_ready"
    title = "Not ready"


class DeadlineExceeded(InferenceError):
    """The request's deadline passed before its rows were run, or while they were."""

    status = 504
    code = "deadline_exceeded"
    title = "Deadline exceeded"
