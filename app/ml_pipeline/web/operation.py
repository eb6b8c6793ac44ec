"""What a route is, apart from how it answers: its path, whom it is for, what it takes and gives.

Each module of routes has its operations beside its handlers; `operations.py` is the list of all.
From them follow the paths that handlers are registered under (`serves.py`), who is let in
(`access.py`, `admin.py`) and the OpenAPI document (`openapi.py`).
"""

from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta

from ml_pipeline.web.conventions import OWN, Conventions, Header, Parameter

Audience = Literal["open", "client", "admin"]
"""For whom a route is: anybody; who has an API key, where keys are asked for; who has the admin
token."""

JSON, MSGPACK, BINARY = "application/json", "application/msgpack", "application/octet-stream"
HTML, TEXT = "text/html", "text/plain"

Binary = Annotated[str, Meta(extra_json_schema={"format": "binary"})]
"""Bytes of no schema."""

Content = dict[str, Any]
"""The type of a body by media type; a tuple of types where it may be any of them."""


class Body(NamedTuple):
    """What a route takes.

    Attributes:
        content: Its types.
        required: Whether it may not be left out.
        example: One that is answered 200, in JSON.
    """

    content: Content
    required: bool = True
    example: Any = None


class Operation(NamedTuple):
    """One route, with one method.

    Attributes:
        path: With `{name}` for a part that may be anything, slashes among it.
        answer: Types of the answer with status 200.
        audience: Whom it is for; who does not say is not open.
        errors: Statuses of its errors, but for the 401 of a missing API key.
        parameters: Beside those of its conventions and those in its path.
        headers: Of the answer, beside those of its conventions.
        versioned: Whether `/versions/{version}` may follow the name.
        unready: Whether it answers 503, with the body of its 200, while there is nothing to serve.
        with_files: Whether all paths below are files of this page, for whom the page is.
    """

    method: Literal["get", "post"]
    path: str
    summary: str
    answer: Content
    audience: Audience = "client"
    body: Body | None = None
    errors: tuple[int, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    headers: tuple[Header, ...] = ()
    versioned: bool = False
    unready: bool = False
    with_files: bool = False
    conventions: Conventions = OWN

    @property
    def paths(self) -> list[str]:
        """The path, and the one with a version where it may have one."""
        if not self.versioned:
            return [self.path]
        return [self.path, self.path.replace("{name}", "{name}/versions/{version}")]
