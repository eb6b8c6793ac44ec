"""The one shape of an error over HTTP.

content-type: application/problem+json
{"title": …, "status": …, "detail": "FIELD: expected …, found …", "code": …, "request_id": …}
"""

import re
from typing import Any

import httpx

from tests.server import RawAnswer

FIELDS = {"title", "status", "detail", "code", "request_id"}

_told = re.compile(r"[^:]+: expected .+,? found:? .+", re.DOTALL)


def assert_problem(answer: httpx.Response | RawAnswer, status: int, code: str) -> dict[str, Any]:
    """Assert that an answer is a problem of this status and code, and give it."""
    found = answer.status_code if isinstance(answer, httpx.Response) else answer.status
    body = answer.content if isinstance(answer, httpx.Response) else answer.body

    assert found == status, body
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert_problem_body(problem)
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem


def assert_problem_body(problem: dict[str, Any]) -> None:
    """Assert the shape of a problem, which a failed member of a batch has too."""
    text = str(problem)

    assert problem.keys() - {"type"} == FIELDS
    assert isinstance(problem["status"], int)
    assert all(problem[field] and isinstance(problem[field], str) for field in FIELDS - {"status"})
    assert "Traceback" not in text
    assert 'File "' not in text
    assert len(problem["detail"]) < 500
    # Why a file cannot be loaded is said in ONNX Runtime's words.
    if problem["status"] < 500 and problem["code"] != "model_load_failed":
        assert _told.fullmatch(problem["detail"]), problem["detail"]
