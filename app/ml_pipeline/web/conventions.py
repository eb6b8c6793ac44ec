"""What the routes of one family have in common: the form of their errors, and their headers.

There are two families: this server's own routes, and those of the Open Inference Protocol.
"""

from typing import Any, NamedTuple

from ml_pipeline.engine.signature.schema import Problem
from ml_pipeline.engine.wire.infer_schema import InferError

Parameter = dict[str, Any]
Header = dict[str, Any]
"""Of an answer; as in an OpenAPI document, and so is a parameter."""


def parameter(name: str, place: str, description: str, **schema: Any) -> Parameter:
    """Describe a parameter that may be left out.

    Args:
        name: As it is sent.
        place: `header` or `query`.
        description: For clients.
        schema: Of its value; any text if nothing is said.
    """
    return {
        "name": name,
        "in": place,
        "required": False,
        "description": description,
        "schema": {"type": "string", **schema},
    }


def header(name: str, description: str, kind: str = "string") -> Header:
    """Describe a header of an answer."""
    return {name: {"description": description, "schema": {"type": kind}}}


MODEL = parameter("model", "query", "Name, where several models are loaded.")
"""Of each own route that speaks of one model."""


class Conventions(NamedTuple):
    """What a family of routes has in common.

    Attributes:
        error: Body of an error.
        error_type: Its media type.
        reasons: What each status of an error means.
        parameters: That each route takes.
        headers: That each answer has.
    """

    error: type
    error_type: str
    reasons: dict[int, str]
    parameters: tuple[Parameter, ...] = ()
    headers: tuple[Header, ...] = ()


_shared_reasons = {
    401: "The admin token is missing or another",
    413: "The body is larger than MAX_BODY_BYTES",
    503: "Overloaded or not ready; Retry-After says when to come again",
    504: "The deadline passed before the end of the run",
}

OWN = Conventions(
    Problem,
    "application/problem+json",
    {
        **_shared_reasons,
        400: "The body does not parse",
        403: "Closed to this caller, or to pages of other sites; the detail says how to open it",
        404: "No such model",
        415: "Neither JSON nor MessagePack",
        422: "A field has the wrong type, shape or value; the detail names it",
        500: "The model's run failed",
    },
    (parameter("X-Request-ID", "header", "1 to 128 visible ASCII characters."),),
    (header("X-Request-ID", "The request's id, taken or made."),),
)
"""Of this server's own routes."""

OPEN_INFERENCE = Conventions(
    InferError,
    "application/json",
    {
        **_shared_reasons,
        400: "A field has the wrong type, shape or value; the text names it",
        403: "Closed to this caller, or to pages of other sites; the text says how to open it",
        404: "No such model or version",
        415: "Compressed by another way than gzip or deflate",
    },
)
"""Of the Open Inference Protocol's."""
