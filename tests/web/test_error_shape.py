"""Every endpoint that can fail, fails in one shape.

    application/problem+json
    {"title": …, "status": …, "detail": "FIELD: expected …, found …", "code": …, "request_id": …}

`assert_problem()` holds an answer against it. Each case names the server it is sent to.
"""

from typing import Any, NamedTuple

import httpx
import pytest

from ml_pipeline import errors
from tests.server import Server
from tests.web.occupied import Occupied
from tests.web.problem import assert_problem
from tests.web.samples import ROW


class Case(NamedTuple):
    """A request that fails."""

    server: str
    method: str
    path: str
    status: int
    code: str
    content: bytes | None = None
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed

    def send(self, server: Server) -> httpx.Response:
        """Send it."""
        return server.client.request(
            self.method, self.path, content=self.content, headers=self.headers
        )


PDF = {"Content-Type": "application/pdf"}
LATE = {"X-Request-Timeout-Ms": "never"}
CASES = [
    *(
        case
        for path, empty in (("/predict", b'{"data": []}'), ("/predict/batch", b'{"requests": []}'))
        for case in (
            Case("server", "POST", path, 400, "malformed_request"),
            Case("server", "POST", path, 400, "malformed_request", b"{"),
            Case("server", "POST", f"{path}?model=vine", 404, "model_not_found", empty),
            Case("server", "PUT", path, 405, "method_not_allowed"),
            Case("strict_server", "POST", path, 413, "body_too_large", b" " * 5000),
            Case("server", "POST", path, 415, "unsupported_media_type", b"x", PDF),
            Case("server", "POST", path, 422, "invalid_input", empty),
            Case("server", "POST", path, 422, "invalid_input", b'{"rows": []}'),
            Case("server", "POST", path, 422, "invalid_input", empty, LATE),
        )
    ),
    Case("zoo", "POST", "/predict?model=brittle", 500, "run_refused", b'{"data": [[9]]}'),
    Case("zoo", "POST", "/predict?model=pair", 422, "invalid_input", b'{"data": [[9]]}'),
    Case("zoo", "POST", "/predict", 404, "model_not_found", b'{"data": [[9]]}'),
    Case("zoo", "GET", "/sample?model=pair", 422, "invalid_input"),
    Case("zoo", "GET", "/sample", 404, "model_not_found"),
    Case("zoo", "GET", "/models/info", 404, "model_not_found"),
    Case("server", "GET", "/sample?model=", 404, "model_not_found"),
    Case("server", "GET", "/models/info?model=%00%ff", 404, "model_not_found"),
    Case("server", "GET", "/docs/assets/nothing", 404, "not_found"),
    Case("server", "GET", "/nothing", 404, "not_found"),
    *(
        Case("server", "DELETE", path, 405, "method_not_allowed")
        for path in ("/", "/health", "/health/live", "/health/ready", "/metrics", "/models",
                     "/models/info", "/models/reload", "/sample", "/openapi.json", "/docs",
                     "/redoc", "/docs/assets/redoc.js")
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.method}{case.path}-{case.status}")
def test_errors_have_one_shape(case: Case, request: pytest.FixtureRequest) -> None:
    """The error has the media type, the fields and the detail that all errors have."""
    server: Server = request.getfixturevalue(case.server)

    answer = case.send(server)

    assert_problem(answer, case.status, case.code)


def test_overload_has_the_same_shape(occupied: Occupied) -> None:
    """A refusal for want of room is a problem like any other."""
    occupied.fill(2)

    assert_problem(occupied.ask(1), 503, "overloaded")


def test_a_missed_deadline_has_the_same_shape(occupied: Occupied) -> None:
    """A deadline that passed is a problem like any other."""
    answer = occupied.ask(1, **{"X-Request-Timeout-Ms": "20"})

    assert_problem(answer, 504, "deadline_exceeded")


def test_errors_are_json_for_clients_of_msgpack(client: httpx.Client) -> None:
    """An error is a JSON problem, whatever the request was written in and asked for."""
    answer = client.post(
        "/predict",
        content=b"\xc1",
        headers={"Content-Type": "application/msgpack", "Accept": "application/msgpack"},
    )

    assert_problem(answer, 400, "malformed_request")


def test_errors_do_not_tell_times_or_caches(client: httpx.Client) -> None:
    """What belongs to predictions is not on errors."""
    answer = client.post("/predict", json={"data": [ROW[:3]]})

    assert "x-cache" not in answer.headers
    assert "retry-after" not in answer.headers


def kinds(base: type[Exception]) -> list[Any]:
    """All classes of the tree under an error."""
    return [base, *(kind for child in base.__subclasses__() for kind in kinds(child))]


def test_codes_are_unique() -> None:
    """Each code is given by one class of the tree, which its refinements share, in snake_case."""
    codes = [vars(kind)["code"] for kind in kinds(errors.InferenceError) if "code" in vars(kind)]

    assert len(set(codes)) == len(codes) > 10
    assert all(code.replace("_", "").isalpha() and code.islower() for code in codes)
