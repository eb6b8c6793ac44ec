"""Random and mutated bodies over HTTP: the server always answers, and never with a 5xx."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server import Server
from tests.web.problem import assert_problem, assert_problem_body
from tests.web.samples import ROW, raw_tensor

JSON, MSGPACK = "application/json", "application/msgpack"
ALLOWED = {200, 400, 413, 415, 422}
CODES = {
    400: "malformed_request",
    413: "body_too_large",
    415: "unsupported_media_type",
    422: "invalid_input",
}

MEMBERS: list[Any] = [
    {"data": [ROW, ROW]},
    {"data": [ROW], "use_cache": False},
    {"data": [ROW], "cache_ttl": 60},
]
RAW_MEMBERS: list[Any] = [{**member, "data": raw_tensor(member["data"])} for member in MEMBERS]
SEEDS = {
    ("/predict", JSON): [json.dumps(member).encode() for member in MEMBERS],
    ("/predict/batch", JSON): [json.dumps({"requests": MEMBERS}).encode()],
    ("/predict", MSGPACK): [msgspec.msgpack.encode(member) for member in RAW_MEMBERS],
    ("/predict/batch", MSGPACK): [msgspec.msgpack.encode({"requests": RAW_MEMBERS})],
}
TARGETS = pytest.mark.parametrize(("path", "content_type"), SEEDS)

fuzz = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,  # the same bodies each time: a failure can be run again
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

numbers = st.one_of(
    st.integers(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([1e39, -1e39, 3.4028236e38, 5e-324, -0.0, 2**63, 10**400]),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=8))
rows = st.lists(st.lists(numbers, min_size=9, max_size=11), max_size=3)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)
requests = st.fixed_dictionaries(
    {"data": st.one_of(rows, values)},
    optional={"use_cache": scalars, "cache_ttl": scalars, "extra": values},
)


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A valid body with a few bytes changed, put in, left out, or said twice."""
    body = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        stop = min(len(body), start + draw(st.integers(0, 8)))
        piece = draw(st.one_of(st.binary(max_size=4), st.just(bytes(body[start:stop]) * 2)))
        body[start:stop] = piece
    return bytes(body)


def assert_answers(server: Server, path: str, content_type: str, body: bytes) -> None:
    """Assert that a body is answered, and in the shape of its status."""
    answer = server.client.post(path, content=body, headers={"Content-Type": content_type})

    assert answer.status_code in ALLOWED, answer.text
    if answer.status_code != 200:
        assert_problem(answer, answer.status_code, CODES[answer.status_code])
        return
    decode = msgspec.json.decode if content_type == JSON else msgspec.msgpack.decode
    content = decode(answer.content)
    for result in content["results"] if path.endswith("batch") else [content]:
        if "error" in result:
            assert_problem_body(result["error"])
            assert result["error"]["status"] in ALLOWED
        else:
            assert result["model_info"]["model_name"] == "wine"


@TARGETS
@fuzz
@given(body=st.binary(max_size=200))
def test_random_bytes_are_answered(
    server: Server, path: str, content_type: str, body: bytes
) -> None:
    """Any bytes at all are a 200 or a 4xx."""
    assert_answers(server, path, content_type, body)


@TARGETS
@fuzz
@given(data=st.data())
def test_mutated_bodies_are_answered(
    server: Server, path: str, content_type: str, data: st.DataObject
) -> None:
    """A valid body with a few bytes changed is a 200 or a 4xx."""
    body = data.draw(mutated(SEEDS[path, content_type]))

    assert_answers(server, path, content_type, body)


@TARGETS
@fuzz
@given(data=st.data())
def test_well_formed_bodies_of_any_content_are_answered(
    server: Server, path: str, content_type: str, data: st.DataObject
) -> None:
    """JSON and MessagePack of any values in the right and in wrong places is a 200 or a 4xx."""
    if path.endswith("batch"):
        content: Any = data.draw(
            st.fixed_dictionaries({"requests": st.lists(requests, max_size=3)})
        )
    else:
        content = data.draw(requests)
    body = json.dumps(content).encode() if content_type == JSON else _pack(content)

    assert_answers(server, path, content_type, body)


@fuzz
@given(
    dtype=st.sampled_from(["float32", "float64", "int64", "object", "str", "V40", "<f4", ""]),
    shape=st.lists(st.integers(-(2**63), 2**64 - 1) | st.integers(0, 12), max_size=4),
    data=st.binary(max_size=100),
)
def test_tensors_of_any_claim_are_answered(
    server: Server, dtype: str, shape: list[int], data: bytes
) -> None:
    """A raw tensor may claim any dtype and shape over any bytes."""
    body = msgspec.msgpack.encode({"data": {"dtype": dtype, "shape": shape, "data": data}})

    assert_answers(server, "/predict", MSGPACK, body)


def test_after_all_that_the_server_is_well(server: Server) -> None:
    """The same process still answers, and its log has no failure."""
    answer = server.client.post("/predict", json={"data": [ROW]})

    assert answer.json()["labels"] == ["class_2"]
    assert [line for line in server.log_lines() if line["event"] == "request_failed"] == []


def _pack(content: Any) -> bytes:
    """Write MessagePack; integers beyond its range become what JSON would read back."""
    return msgspec.msgpack.encode(_within_range(content))


def _within_range(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _within_range(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_within_range(item) for item in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return value % 2**64
    return value
