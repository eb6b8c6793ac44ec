"""Every fault of a caller is a 4xx with `{"error": "…"}`, as the protocol has it."""

import gzip
import zlib
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

from tests.server import Server, read_answer

LENGTH = "inference-header-content-length"
PAIR = {
    "inputs": [
        {"name": "left", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]},
        {"name": "right", "shape": [1, 2], "datatype": "FP32", "data": [3, 4]},
    ]
}
INFER = "/v2/models/pair/infer"


def told(answer: httpx.Response, status: int) -> str:
    """The text of an error; there is nothing else in it."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert list(body) == ["error"]
    return str(body["error"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/none", 404),
        ("GET", "/v2/models/none/ready", 404),
        ("GET", "/v2/models/none/config", 404),
        ("GET", "/v2/models/none/stats", 404),
        ("GET", "/v2/models/pair/versions/7", 404),
        ("POST", "/v2/models/none/infer", 404),
        ("POST", "/v2/models/pair/versions/7/infer", 404),
        ("GET", "/v2/nothing", 404),
        ("GET", "/v2/models", 404),
        ("GET", INFER, 405),
        ("POST", "/v2/models/pair", 405),
        ("POST", "/v2/models/a/b/infer", 404),
    ],
)
def test_error_is_the_protocols(server: Server, method: str, path: str, status: int) -> None:
    """On every route under /v2, and of every kind."""
    assert told(server.client.request(method, path, json=PAIR), status)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "body: expected JSON"),
        (b"{", "body: expected JSON"),
        (b"\xff\xfe", "body"),
        (b'{"inputs":[]}', "inputs: expected 'left'"),
        (b"[" * 100_000, ""),
        (msgspec.json.encode({"inputs": PAIR["inputs"][:1]}), "expected 'right'"),
    ],
)
def test_bad_body_is_told_what_is_wrong(server: Server, body: bytes, said: str) -> None:
    """Field, expected and found."""
    assert said in told(server.client.post(INFER, content=body), 400)


def test_inputs_of_different_rows_are_refused(server: Server) -> None:
    """Rows that are run together with others' are as many in each input."""
    body = msgspec.json.decode(msgspec.json.encode(PAIR))
    body["inputs"][1] |= {"shape": [2, 2], "data": [1, 2, 3, 4]}

    assert "left 1, right 2" in told(server.client.post(INFER, json=body), 400)


def test_too_many_rows_are_refused(server: Server) -> None:
    """MAX_ROWS holds here too."""
    rows = np.zeros((10_001, 2), np.float32)
    tensors = [
        {"name": name, "shape": [10_001, 2], "datatype": "FP32",
         "parameters": {"binary_data_size": rows.nbytes}}
        for name in ("left", "right")
    ]  # fmt: skip
    document = msgspec.json.encode({"inputs": tensors})

    answer = server.client.post(
        INFER, content=document + rows.tobytes() * 2, headers={LENGTH: str(len(document))}
    )

    assert "at most 10000 rows, found 10001" in told(answer, 400)


@pytest.mark.parametrize("header", ["-1", "x", "1000000", "9" * 300])
def test_header_that_is_no_length_is_refused(server: Server, header: str) -> None:
    """It says where the JSON ends."""
    answer = server.client.post(INFER, json=PAIR, headers={LENGTH: header})

    assert LENGTH in told(answer, 400)


def test_content_type_decides_nothing(server: Server) -> None:
    """Clients send any, or none."""
    for content_type in ("text/plain", "application/octet-stream", "application/json", ""):
        answer = server.client.post(
            INFER, content=msgspec.json.encode(PAIR), headers={"content-type": content_type}
        )
        assert answer.json()["outputs"][0]["data"] == [4, 6]


def test_answers_have_the_content_type_alone(server: Server) -> None:
    """A charset hides error texts from KServe's client."""
    answers = [
        server.client.post(INFER, json=PAIR),
        server.client.get("/v2"),
        server.client.get("/v2/models/pair"),
        server.client.get("/v2/models/none"),
    ]

    assert {answer.headers["content-type"] for answer in answers} == {"application/json"}


def test_server_metadata_has_two_spellings(server: Server) -> None:
    """The specification writes one with a slash at its end."""
    assert server.client.get("/v2").json() == server.client.get("/v2/").json()


def test_nothing_is_compressed(server: Server) -> None:
    """Clients offer what they do not read."""
    for path in ("/v2", "/v2/models/pair", "/v2/models/pair/config", "/v2/models/pair/stats"):
        answer = server.client.get(path, headers={"accept-encoding": "gzip, deflate, br"})
        assert "content-encoding" not in answer.headers


BOMB = zlib.compress(b"\0" * (64 << 20), 9)


@pytest.mark.parametrize(
    ("content", "encoding", "status", "said"),
    [
        (b"no gzip", "gzip", 400, "expected gzip"),
        (gzip.compress(b"{}")[:-4], "gzip", 400, "expected gzip"),
        (gzip.compress(b"{}") + b"more", "gzip", 400, "expected gzip"),
        (gzip.compress(b"{}"), "br", 415, "expected gzip or deflate"),
        (BOMB, "deflate", 413, "when decompressed"),
    ],
    ids=["none", "cut", "more", "br", "bomb"],
)
def test_bad_compression_is_refused(
    server: Server, content: bytes, encoding: str, status: int, said: str
) -> None:
    """Also what would fill the memory."""
    answer = server.client.post(INFER, content=content, headers={"content-encoding": encoding})

    assert said in told(answer, status)


def test_body_that_is_too_large_is_refused(server: Server) -> None:
    """Before it is sent."""
    with server.connect() as connection:
        connection.sendall(
            b"POST /v2/models/pair/infer HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 99999999\r\n\r\n"
        )
        answer = read_answer(connection)

    assert answer.status == 413
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["error"]


def test_predict_names_the_route_for_several_inputs(server: Server) -> None:
    """`POST /predict` fills one input; who wants more is told where."""
    answer = server.client.post("/predict", params={"model": "pair"}, json={"data": [[1, 2]]})

    assert answer.status_code == 422
    assert "/v2/models/pair/infer" in answer.json()["detail"]


def test_predict_names_the_route_for_bfloat16(server: Server) -> None:
    """JSON has no form for it."""
    answer = server.client.post("/predict", params={"model": "bfloat"}, json={"data": [[1, 2, 3]]})

    assert answer.status_code == 422
    assert "/v2/models/bfloat/infer" in answer.json()["detail"]


def test_request_says_where_its_time_went(server: Server) -> None:
    """The headers of `/predict` are here too."""
    answer = server.client.post(INFER, json=PAIR, headers={"x-request-id": "mine"})

    assert answer.headers["x-request-id"] == "mine"
    assert answer.headers["x-cache"] == "bypass"
    names = [part.split(";")[0].strip() for part in answer.headers["server-timing"].split(",")]
    assert names == ["decode", "cache", "queue", "run", "total"]


def test_raw_request_is_answered_in_bytes(server: Server) -> None:
    """A header of 0: the body is the tensor."""
    row = np.array([1, 2, 3], np.float32)

    answer = server.client.post(
        "/v2/models/a%20b%25c/infer", content=row.tobytes(), headers={LENGTH: "0"}
    )

    length = int(answer.headers[LENGTH])
    document: dict[str, Any] = msgspec.json.decode(answer.content[:length])
    assert document["outputs"][0]["shape"] == [1, 3]
    assert np.frombuffer(answer.content[length:], np.float32).tolist() == [2, 4, 6]


def test_rows_that_the_model_refuses_are_told(server: Server) -> None:
    """It is their fault, as far as anybody can tell."""
    body = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "INT64", "data": [7]}]}

    answer = server.client.post("/v2/models/brittle/infer", json=body)

    assert "ONNX Runtime" in told(answer, 400)
