"""`POST /predict` over HTTP: what goes in, what comes out, and what is refused."""

import gzip
import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

from tests.server import Server, exchange, read_answer, wait_until
from tests.web.occupied import Occupied
from tests.web.problem import assert_problem
from tests.web.samples import (
    ROW,
    WINE_ROWS,
    fresh_row,
    raw_tensor,
    to_array,
    wine_answers,
)

MSGPACK = "application/msgpack"
FIELDS = {"predictions", "probabilities", "scores", "labels", "model_info"}
TOO_LONG = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n"
INFO_FIELDS = {"model_name", "model_version", "prediction_time", "input_shape", "cached"}


def post_msgpack(client: httpx.Client, body: Any, **headers: str) -> httpx.Response:
    content = msgspec.msgpack.encode(body)
    return client.post("/predict", content=content, headers={"Content-Type": MSGPACK, **headers})


def unpack(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == MSGPACK
    content: dict[str, Any] = msgspec.msgpack.decode(answer.content)
    return content


def assert_serves(server: Server) -> None:
    """Assert that the next request is answered as if nothing had been."""
    answer = server.client.post("/predict", json={"data": [fresh_row()]})

    assert answer.status_code == 200


# What is answered.


def test_answer_has_exactly_the_documented_fields(client: httpx.Client) -> None:
    """An answer holds predictions, probabilities, scores, labels and model_info, no more."""
    answer = client.post("/predict", json={"data": WINE_ROWS})

    assert answer.headers["content-type"] == "application/json"
    assert answer.json().keys() == FIELDS
    assert answer.json()["model_info"].keys() == INFO_FIELDS


def test_model_info_tells_model_time_and_shape(client: httpx.Client) -> None:
    """model_info names the model and its version, the seconds of the run and the rows' shape."""
    info = client.post("/predict", json={"data": [fresh_row(), ROW]}).json()["model_info"]

    assert 0 < info.pop("prediction_time") < 10
    assert info == {
        "model_name": "wine",
        "model_version": "1",
        "input_shape": [2, 10],
        "cached": False,
    }


@pytest.mark.parametrize("num_rows", [1, 5, 257, 2500])
def test_answers_are_those_of_onnx_runtime(client: httpx.Client, num_rows: int) -> None:
    """Predictions and probabilities are ONNX Runtime's own, row by row, also of split requests."""
    rows = [fresh_row() for _ in range(num_rows)]
    rows[0] = WINE_ROWS[1]
    labels, probabilities = wine_answers(rows)

    answer = client.post("/predict", json={"data": rows}).json()

    assert answer["predictions"] == labels.tolist()
    assert answer["labels"] == [f"class_{label}" for label in labels]
    np.testing.assert_allclose(answer["probabilities"], probabilities, rtol=1e-4, atol=1e-7)


def test_concurrent_clients_get_their_own_answers(server: Server) -> None:
    """Of many requests that run together each gets the answer to its own rows."""
    requests = [[fresh_row(), *WINE_ROWS[i % 5 :]] for i in range(64)]

    def ask(rows: list[list[float]]) -> Any:
        body = {"data": rows, "use_cache": False}
        return server.client.post("/predict", json=body).json()["probabilities"]

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(ask, requests))

    for rows, found in zip(requests, answers, strict=True):
        np.testing.assert_allclose(found, wine_answers(rows)[1], rtol=1e-4, atol=1e-7)


# JSON and MessagePack.


def test_msgpack_tensors_go_in_and_come_out_as_raw_bytes(client: httpx.Client) -> None:
    """A MessagePack tensor is dtype, shape and bytes, in the request and in the answer."""
    labels, probabilities = wine_answers(WINE_ROWS)

    answer = unpack(post_msgpack(client, {"data": raw_tensor(WINE_ROWS)}))

    assert answer.keys() == FIELDS
    assert answer["model_info"].keys() == INFO_FIELDS
    assert answer["predictions"].keys() == {"dtype", "shape", "data"}
    np.testing.assert_array_equal(to_array(answer["predictions"]), labels)
    np.testing.assert_allclose(to_array(answer["probabilities"]), probabilities, rtol=1e-4)


def test_msgpack_takes_nested_lists(client: httpx.Client) -> None:
    """A MessagePack body may hold rows as lists, as JSON does."""
    answer = unpack(post_msgpack(client, {"data": WINE_ROWS}))

    np.testing.assert_array_equal(to_array(answer["predictions"]), wine_answers(WINE_ROWS)[0])


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/predict/"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "GZIP ", "identity, gzip"])
def test_compressed_bodies_are_refused_by_name(
    client: httpx.Client, path: str, encoding: str
) -> None:
    """A body that is compressed is a 415 that says where it is taken, not one that is no JSON."""
    content = gzip.compress(json.dumps({"data": [ROW]}).encode())
    answer = client.post(path, content=content, headers={"Content-Encoding": encoding.strip()})

    detail = assert_problem(answer, 415, "unsupported_media_type")["detail"]
    assert detail.startswith("content-encoding: expected none here, and gzip or deflate under /v2")


def test_the_coding_that_is_none_is_taken(client: httpx.Client) -> None:
    """`Content-Encoding: identity` says nothing."""
    headers = {"Content-Encoding": "identity"}

    assert client.post("/predict", json={"data": [ROW]}, headers=headers).status_code == 200


def test_accept_asks_for_msgpack(client: httpx.Client) -> None:
    """A JSON request with `Accept: application/msgpack` is answered in MessagePack."""
    answer = client.post("/predict", json={"data": [ROW]}, headers={"Accept": MSGPACK})

    assert unpack(answer)["labels"] == ["class_2"]


def test_accept_asks_for_json(client: httpx.Client) -> None:
    """A MessagePack request with `Accept: application/json` is answered in JSON."""
    answer = post_msgpack(client, {"data": raw_tensor([ROW])}, Accept="application/json")

    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["predictions"] == [2]


@pytest.mark.parametrize("accept", ["*/*", "text/html", "text/html, */*;q=0.8", ""])
def test_other_accepts_get_the_format_of_the_request(client: httpx.Client, accept: str) -> None:
    """An `Accept` that names neither format is answered in the request's own."""
    answer = client.post("/predict", json={"data": [ROW]}, headers={"Accept": accept})

    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"],
)
def test_content_types_of_json(client: httpx.Client, content_type: str) -> None:
    """JSON is JSON whatever the case and the parameters of its content type."""
    content = json.dumps({"data": [ROW]})

    answer = client.post("/predict", content=content, headers={"Content-Type": content_type})

    assert answer.json()["labels"] == ["class_2"]


@pytest.mark.parametrize(
    "content_type", [MSGPACK, "application/x-msgpack", "application/vnd.msgpack"]
)
def test_content_types_of_msgpack(client: httpx.Client, content_type: str) -> None:
    """All names that MessagePack goes by are understood."""
    answer = post_msgpack(client, {"data": raw_tensor([ROW])}, **{"Content-Type": content_type})

    assert unpack(answer)["labels"] == ["class_2"]


def test_no_content_type_is_read_as_json(client: httpx.Client) -> None:
    """A body without a content type is taken for JSON."""
    answer = client.post("/predict", content=json.dumps({"data": [ROW]}))

    assert answer.json()["labels"] == ["class_2"]


# The cache.


def test_second_equal_request_is_a_hit(client: httpx.Client) -> None:
    """The second equal request comes from memory, says so, and differs in nothing else."""
    body = {"data": [fresh_row()]}

    first = client.post("/predict", json=body)
    second = client.post("/predict", json=body)

    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "l1")
    assert first.json()["model_info"].pop("cached") is False
    assert second.json()["model_info"]["cached"] is True
    assert second.content == first.content.replace(b'"cached":false', b'"cached":true')


def test_second_equal_msgpack_request_is_a_hit(client: httpx.Client) -> None:
    """MessagePack answers are cached like JSON's."""
    body = {"data": raw_tensor([fresh_row()])}

    first = post_msgpack(client, body)
    second = post_msgpack(client, body)

    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "l1")
    assert unpack(second)["model_info"].pop("cached") is True
    assert unpack(second)["probabilities"] == unpack(first)["probabilities"]


def test_another_spelling_of_the_same_rows_is_a_hit(client: httpx.Client) -> None:
    """White space, the order of the fields and the spelling of numbers do not matter."""
    row = [50.0 + len(ROW), *[7.0] * 9]
    first = client.post("/predict", json={"data": [row]})
    spelt = '{ "use_cache": true,\n "data": [[6e1, 7, 7.00, 70e-1, 7, 7, 7, 7, 7, 7]] }'

    second = client.post("/predict", content=spelt)

    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "l1")


def test_use_cache_false_does_not_read(client: httpx.Client) -> None:
    """`use_cache: false` computes what the cache knows already."""
    body = {"data": [fresh_row()]}
    client.post("/predict", json=body)

    answer = client.post("/predict", json={**body, "use_cache": False})

    assert answer.headers["x-cache"] == "bypass"
    assert answer.json()["model_info"]["cached"] is False


def test_use_cache_false_does_not_write(client: httpx.Client) -> None:
    """`use_cache: false` leaves nothing for the next request."""
    body = {"data": [fresh_row()]}
    client.post("/predict", json={**body, "use_cache": False})

    answer = client.post("/predict", json=body)

    assert answer.headers["x-cache"] == "miss"


def test_cache_ttl_ends(client: httpx.Client) -> None:
    """An answer with `cache_ttl` 1 is a hit at first, and a miss within two seconds."""
    body = {"data": [fresh_row()], "cache_ttl": 1}
    client.post("/predict", json=body)

    at_once = client.post("/predict", json=body).headers["x-cache"]
    wait_until(lambda: client.post("/predict", json=body).headers["x-cache"] == "miss", 2.0)

    assert at_once == "l1"


def test_models_do_not_share_answers(zoo: Server) -> None:
    """Equal rows for two models are two entries."""
    body = {"data": [fresh_row()]}
    zoo.client.post("/predict?model=wine", json=body)

    answer = zoo.client.post("/predict?model=plain", json=body)

    assert answer.headers["x-cache"] == "miss"
    assert answer.json()["model_info"]["model_name"] == "plain"


def test_random_models_are_never_cached(zoo: Server) -> None:
    """A model that draws random numbers answers anew each time."""
    body = {"data": [[1.0, 2.0, 3.0]]}

    answers = [zoo.client.post("/predict?model=dice", json=body) for _ in range(2)]

    assert [answer.headers["x-cache"] for answer in answers] == ["bypass", "bypass"]
    assert answers[0].json()["predictions"] != answers[1].json()["predictions"]


# Models of every kind.


@pytest.mark.parametrize(
    ("model", "data", "predictions"),
    [
        ("a word", [["a", "c"], ["b", "?"]], [[0, 2], [1, -1]]),
        ("whole", [[1, -2, 9007199254740993]], [[1.0, -2.0, 9007199254740992.0]]),
        ("flat", [1.5, -2.0], [3.0, -4.0]),
        ("brittle", [[102], [100]], [1020, 1000]),
    ],
)
def test_inputs_of_every_type_and_rank(
    zoo: Server, model: str, data: Any, predictions: Any
) -> None:
    """Strings, integers and rank 1 are taken as they are, and answered in the same order."""
    answer = zoo.client.post("/predict", params={"model": model}, json={"data": data})

    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == predictions


def test_regressors_have_no_probabilities(zoo: Server) -> None:
    """A regressor's probabilities and labels are null."""
    answer = zoo.client.post("/predict?model=price", json={"data": [[1, 2, 3, 4]]}).json()

    assert isinstance(answer["predictions"][0], float)
    assert (answer["probabilities"], answer["labels"]) == (None, None)


def test_outputs_that_are_no_number_are_null_in_json(zoo: Server) -> None:
    """NaN and infinity in an answer are null, for JSON has neither."""
    answer = zoo.client.post("/predict?model=log", json={"data": [[-1.0, 0.0]]})

    assert answer.json()["predictions"] == [[None, None]]


def test_outputs_that_are_no_number_stay_in_msgpack(zoo: Server) -> None:
    """MessagePack tensors hold NaN and infinity as they are."""
    content = msgspec.msgpack.encode({"data": raw_tensor([[-1.0, 0.0]])})

    answer = zoo.client.post(
        "/predict?model=log", content=content, headers={"Content-Type": MSGPACK}
    )

    predictions = to_array(unpack(answer)["predictions"])
    assert [math.isnan(predictions[0, 0]), math.isinf(predictions[0, 1])] == [True, True]


def test_unknown_model_is_told_the_choices(zoo: Server) -> None:
    """A name that no model has is a 404 that lists those there are."""
    answer = zoo.client.post("/predict?model=vine", json={"data": [ROW]})

    problem = assert_problem(answer, 404, "model_not_found")
    assert "price" in problem["detail"]
    assert "wine" in problem["detail"]
    assert "'vine'" in problem["detail"]


def test_no_name_among_several_models_is_told_the_choices(zoo: Server) -> None:
    """Where there are several models, a request without a name is a 404 that lists them."""
    answer = zoo.client.post("/predict", json={"data": [ROW]})

    problem = assert_problem(answer, 404, "model_not_found")
    assert "price" in problem["detail"]


def test_the_only_model_may_be_named(client: httpx.Client) -> None:
    """`?model=` may name the model also where it is alone."""
    answer = client.post("/predict?model=wine", json={"data": [ROW]})

    assert answer.json()["labels"] == ["class_2"]


def test_models_with_two_inputs_say_so(zoo: Server) -> None:
    """`POST /predict` fills one input; a model with two refuses with their names."""
    answer = zoo.client.post("/predict?model=pair", json={"data": [[1.0, 2.0]]})

    problem = assert_problem(answer, 422, "invalid_input")
    assert "left" in problem["detail"]
    assert "right" in problem["detail"]


def test_rows_that_the_model_refuses_are_its_failure(zoo: Server) -> None:
    """A run that fails is a 500 with a code of its own, and hurts no later one."""
    answer = zoo.client.post("/predict?model=brittle", json={"data": [[7]]})

    assert_problem(answer, 500, "run_refused")
    assert zoo.client.post("/predict?model=brittle", json={"data": [[101]]}).status_code == 200


# What is refused: the body.


def lying(**changes: Any) -> bytes:
    """A MessagePack body whose tensor is not what it says."""
    return msgspec.msgpack.encode({"data": {**raw_tensor([ROW]), **changes}})


JSON_FAULTS = {
    "nothing": (b"", 400),
    "not JSON": (b"data=1", 400),
    "truncated": (b'{"data": [[1.0, 2.0', 400),
    "trailing text": (b'{"data": [[1]]} x', 400),
    "NaN": (b'{"data": [[NaN,1,1,1,1,1,1,1,1,1]]}', 400),
    "Infinity": (b'{"data": [[Infinity,1,1,1,1,1,1,1,1,1]]}', 400),
    "not UTF-8": (b'{"data": [["\xff"]]}', 422),
    "byte order mark": (b'\xef\xbb\xbf{"data": [[1]]}', 400),
    "a null byte": (b'{"data": [[1,\x00]]}', 400),
    "nesting 100,000 deep": (b'{"data": ' + b"[" * 100_000, 422),
    "nesting in an unknown field": (b'{"x": ' + b"[" * 100_000, 422),
    "no object": (b"[[1, 2]]", 422),
    "no data": (b"{}", 422),
    "data null": (b'{"data": null}', 422),
    "data a number": (b'{"data": 1}', 422),
    "data a string": (b'{"data": "1,2"}', 422),
    "data an object": (b'{"data": {"dtype": "float32", "shape": [1, 10], "data": "AAAA"}}', 422),
    "no rows": (b'{"data": []}', 422),
    "an empty row": (b'{"data": [[]]}', 422),
    "a flat row": (b'{"data": [1,2,3,4,5,6,7,8,9,10]}', 422),
    "one level too many": (b'{"data": [[[1,2,3,4,5,6,7,8,9,10]]]}', 422),
    "too few features": (b'{"data": [[1,2,3]]}', 422),
    "too many features": (b'{"data": [[1,2,3,4,5,6,7,8,9,10,11]]}', 422),
    "ragged": (b'{"data": [[1,2,3,4,5,6,7,8,9,10],[1,2]]}', 422),
    "a string in a row": (b'{"data": [[1,2,3,4,5,6,7,8,9,"10"]]}', 422),
    "null in a row": (b'{"data": [[1,2,3,4,5,6,7,8,9,null]]}', 422),
    "a bool in a row": (b'{"data": [[1,2,3,4,5,6,7,8,9,true]]}', 422),
    "too large for float32": (b'{"data": [[1,2,3,4,5,6,7,8,9,1e39]]}', 422),
    "too small for float32": (b'{"data": [[1,2,3,4,5,6,7,8,9,-1e39]]}', 422),
    "too large for float64": (b'{"data": [[1,2,3,4,5,6,7,8,9,1e999]]}', 422),
    "400 digits": (b'{"data": [[1,2,3,4,5,6,7,8,9,' + b"9" * 400 + b"]]}", 422),
    "unknown field": (b'{"data": [[1,2,3,4,5,6,7,8,9,10]], "cache": 1}', 422),
    "long unknown field": (b'{"' + b"x" * 10_000 + b'": 1}', 422),
    "data twice": (b'{"data": [[1,2,3,4,5,6,7,8,9,10]], "data": [[1]]}', 422),
    "data twice and right": (
        b'{"data": [[1,2,3,4,5,6,7,8,9,10]], "data": [[1,2,3,4,5,6,7,8,9,10]]}',
        422,
    ),
    "data twice, once escaped": (
        b'{"data": [[1,2,3,4,5,6,7,8,9,10]], "d\\u0061ta": [[1,2,3,4,5,6,7,8,9,10]]}',
        422,
    ),
    "use_cache a string": (b'{"data": [[1]], "use_cache": "no"}', 422),
    "use_cache a number": (b'{"data": [[1]], "use_cache": 0}', 422),
    "cache_ttl 0": (b'{"data": [[1]], "cache_ttl": 0}', 422),
    "cache_ttl below 0": (b'{"data": [[1]], "cache_ttl": -5}', 422),
    "cache_ttl half a second": (b'{"data": [[1]], "cache_ttl": 0.5}', 422),
    "cache_ttl a string": (b'{"data": [[1]], "cache_ttl": "60"}', 422),
    "cache_ttl of a century": (b'{"data": [[1]], "cache_ttl": 3153600000}', 422),
    "cache_ttl 1e30": (b'{"data": [[1]], "cache_ttl": 1e30}', 422),
    "cache_ttl of 100 digits": (b'{"data": [[1]], "cache_ttl": ' + b"9" * 100 + b"}", 422),
}
MSGPACK_FAULTS = {
    "nothing": (b"", 400),
    "an unused byte": (b"\xc1", 400),
    "truncated": (lying()[:-7], 400),
    "trailing bytes": (lying() + b"\x00", 400),
    "a promise of 4 GB": (b"\x81\xa4data\xdd\xff\xff\xff\xff", 422),
    "bytes that never come": (b"\x81\xa4data\x83\xa4data\xc6\xff\xff\xff\xff", 400),
    "nesting 100,000 deep": (b"\x81\xa4data" + b"\x91" * 100_000, 422),
    "nesting in an unknown field": (b"\x81\xa1x" + b"\x91" * 100_000, 422),
    "not UTF-8": (b"\x81\xa4data\xa1\xff", 422),
    "another dtype": (lying(dtype="float64"), 422),
    "no dtype": (lying(dtype="object"), 422),
    "a dtype with a shape": (lying(dtype="(1000000,1000000)f4"), 422),
    "shape too small": (lying(shape=[1, 9]), 422),
    "shape too large": (lying(shape=[2, 10]), 422),
    "shape below 0": (lying(shape=[-1, -10]), 422),
    "shape -1": (lying(shape=[-1, 10]), 422),
    "shape that overflows": (lying(shape=[2**62, 4]), 422),
    "shape that overflows to its size": (lying(shape=[2**32, 2**32 + 10]), 422),
    "shape of nothing": (lying(shape=[0, 10], data=b""), 422),
    "shape of no rank": (lying(shape=[], data=b"1234"), 422),
    "shape of rank 40": (lying(shape=[1] * 39 + [10]), 422),
    "shape of floats": (lying(shape=[1.0, 10.0]), 422),
    "no bytes": (lying(data="abc"), 422),
    "odd bytes": (lying(data=b"123"), 422),
    "NaN": (lying(data=np.full(10, np.nan, np.float32).tobytes()), 422),
    "infinity": (lying(data=np.full(10, -np.inf, np.float32).tobytes()), 422),
    "data twice": (
        b"\x82" + 2 * (b"\xa4data" + msgspec.msgpack.encode(raw_tensor([ROW]))),
        422,
    ),
    "cache_ttl 0": (msgspec.msgpack.encode({"data": raw_tensor([ROW]), "cache_ttl": 0}), 422),
    "an extension": (b"\x81\xa4data\xc7\x01\x05x", 422),
}
CODES = {400: "malformed_request", 422: "invalid_input"}


@pytest.mark.parametrize("fault", JSON_FAULTS)
def test_bad_json_is_explained(server: Server, fault: str) -> None:
    """A bad JSON body is a 400 or 422 with a reason, and the next request is served."""
    content, status = JSON_FAULTS[fault]

    answer = server.client.post(
        "/predict", content=content, headers={"Content-Type": "application/json"}
    )

    assert_problem(answer, status, CODES[status])
    assert_serves(server)


@pytest.mark.parametrize("fault", MSGPACK_FAULTS)
def test_bad_msgpack_is_explained(server: Server, fault: str) -> None:
    """A bad MessagePack body is a 400 or 422 with a reason, and the next request is served."""
    content, status = MSGPACK_FAULTS[fault]

    answer = server.client.post("/predict", content=content, headers={"Content-Type": MSGPACK})

    assert_problem(answer, status, CODES[status])
    assert_serves(server)


@pytest.mark.parametrize(
    ("model", "body"),
    [
        ("whole", {"data": [[1, 2, 2.5]]}),
        ("whole", {"data": [[1, 2, 2**63]]}),
        ("whole", {"data": [[1, 2, -(2**70)]]}),
        ("whole", {"data": [[1, 2, "3"]]}),
        ("a word", {"data": [["a", 1]]}),
        ("a word", {"data": [["a", None]]}),
        ("a word", {"data": [["a", "b"], ["a"]]}),
        ("a word", {"data": raw_tensor([[1, 2]])}),
        ("a word", {"data": raw_tensor([[1, 2]]) | {"dtype": "str"}}),
        ("flat", {"data": 1.0}),
        ("flat", {"data": [[1.0]]}),
        ("flat", {"data": []}),
        ("flat", {"data": {"dtype": "float32", "shape": [], "data": b"1234"}}),
        ("flat", {"data": {"dtype": "float32", "shape": [0], "data": b""}}),
    ],
)
def test_bad_values_for_models_of_other_kinds(
    zoo: Server, model: str, body: dict[str, Any]
) -> None:
    """What is no value of a model's own type and rank is a 422, whatever that type is."""
    content = msgspec.msgpack.encode(body) if _fits_msgpack(body) else json.dumps(body).encode()
    content_type = MSGPACK if _fits_msgpack(body) else "application/json"

    answer = zoo.client.post(
        "/predict", params={"model": model}, content=content, headers={"Content-Type": content_type}
    )

    assert_problem(answer, 422, "invalid_input")


def _fits_msgpack(body: dict[str, Any]) -> bool:
    return isinstance(body["data"], dict)


def test_strings_that_are_no_unicode_are_refused(zoo: Server) -> None:
    """Half of a surrogate pair is no string: 400 or 422, never a failure of the server."""
    answer = zoo.client.post(
        "/predict",
        params={"model": "a word"},
        content=b'{"data": [["\\ud800", "a"]]}',
        headers={"Content-Type": "application/json"},
    )

    assert answer.status_code in (400, 422)


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data", "json", "", ";"])
def test_other_content_types_are_refused(server: Server, content_type: str) -> None:
    """A body that says it is something else is a 415 that names what is read."""
    answer = server.client.post(
        "/predict", content=json.dumps({"data": [ROW]}), headers={"Content-Type": content_type}
    )

    problem = assert_problem(answer, 415, "unsupported_media_type")
    assert "application/json" in problem["detail"]
    assert "application/msgpack" in problem["detail"]


def test_details_name_the_place(client: httpx.Client) -> None:
    """The detail of a bad value names its row and column, what was expected and what was found."""
    answer = client.post("/predict", json={"data": [ROW, [*ROW[:4], "red", *ROW[5:]]]})

    assert answer.json()["detail"] == "data[1][4]: expected float, found str"


def test_details_do_not_hold_the_payload(client: httpx.Client) -> None:
    """What a client sends does not come back in an error, beyond a few characters."""
    answer = client.post("/predict", json={"data": [ROW], "use_cache": "secret" * 100})

    assert answer.status_code == 422
    assert "secretsecretsecretsecretsecret" not in answer.text


# What is refused: the size.


def test_max_rows_is_allowed(strict_server: Server) -> None:
    """As many rows as MAX_ROWS are answered."""
    answer = strict_server.client.post("/predict", json={"data": [[1] * 10] * 20})

    assert len(answer.json()["predictions"]) == 20


def test_more_than_max_rows_is_refused(strict_server: Server) -> None:
    """One row more than MAX_ROWS is a 422 with both numbers."""
    answer = strict_server.client.post("/predict", json={"data": [[1] * 10] * 21})

    problem = assert_problem(answer, 422, "invalid_input")
    assert problem["detail"] == "data: expected at most 20 rows, found 21"
    assert_serves(strict_server)


def sized(size: int) -> bytes:
    """A valid body of exactly so many bytes."""
    body = json.dumps({"data": [ROW]}).encode()
    return body + b" " * (size - len(body))


def test_a_body_of_the_limit_is_allowed(strict_server: Server) -> None:
    """A body of MAX_BODY_BYTES is answered."""
    answer = strict_server.client.post("/predict", content=sized(4096))

    assert answer.status_code == 200


def test_a_chunked_body_of_the_limit_is_allowed(strict_server: Server) -> None:
    """A body of MAX_BODY_BYTES in chunks is answered."""
    chunks = [sized(4096)[start : start + 1000] for start in range(0, 4096, 1000)]

    answer = strict_server.client.post("/predict", content=iter(chunks))

    assert answer.status_code == 200


@pytest.mark.parametrize("size", [4097, 3_000_000])
def test_a_larger_body_is_refused(strict_server: Server, size: int) -> None:
    """A body over MAX_BODY_BYTES is a 413 with both numbers, and the next request is served."""
    answer = strict_server.client.post("/predict", content=sized(size))

    problem = assert_problem(answer, 413, "body_too_large")
    assert problem["detail"] == f"body: expected at most 4096 bytes, found {size}"
    assert_serves(strict_server)


def test_a_larger_body_is_refused_by_its_announcement(strict_server: Server) -> None:
    """A Content-Length over MAX_BODY_BYTES is refused before a byte of the body has come."""
    answer = exchange(strict_server, TOO_LONG)

    assert_problem(answer, 413, "body_too_large")
    assert_serves(strict_server)


def test_a_chunked_larger_body_is_refused_while_it_comes(strict_server: Server) -> None:
    """A chunked body over MAX_BODY_BYTES is answered before its end, which never comes here."""
    with strict_server.connect() as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(5):
            connection.sendall(b"400\r\n" + b" " * 1024 + b"\r\n")
            time.sleep(0.005)
        answer = read_answer(connection)

    assert_problem(answer, 413, "body_too_large")
    assert_serves(strict_server)


def test_the_rest_of_a_refused_body_is_no_request(strict_server: Server) -> None:
    """What follows a refused announcement is never read as a request of its own."""
    smuggled = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with strict_server.connect() as connection:
        connection.sendall(TOO_LONG + smuggled)
        received = _read_to_end(connection)

    assert received.count(b"HTTP/1.1 ") == 1
    assert b'"live"' not in received


# What is refused: the framing.

START = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
FRAMING_FAULTS = {
    "Content-Length below 0": b"Content-Length: -1\r\n\r\n",
    "Content-Length no number": b"Content-Length: ten\r\n\r\n",
    "Content-Length with a sign": b"Content-Length: +2\r\n\r\n{}",
    "Content-Length of 30 digits": b"Content-Length: " + b"9" * 30 + b"\r\n\r\n",
    "two Content-Lengths": b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "Content-Length and chunks": (
        b"Content-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    ),
    "a chunk of no size": b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than it says": b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
    "a chunk of 2**80 bytes": b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 20 + b"\r\n{}",
    "another transfer encoding": b"Transfer-Encoding: gzip\r\n\r\n{}",
    "a header without a colon": b"Content-Length 2\r\n\r\n{}",
}


@pytest.mark.parametrize("fault", FRAMING_FAULTS)
def test_bad_framing_is_the_clients_fault(server: Server, fault: str) -> None:
    """Bytes that are no proper HTTP are a 4xx, end the connection and smuggle nothing."""
    with server.connect() as connection:
        connection.sendall(START + FRAMING_FAULTS[fault])
        received = _read_to_end(connection)

    assert received.startswith(b"HTTP/1.1 4"), received
    assert received.count(b"HTTP/1.1 ") == 1
    assert_serves(server)


def test_a_body_shorter_than_its_announcement_ends_with_the_client(server: Server) -> None:
    """A client that hangs up in the middle of its body disturbs nobody."""
    with server.connect() as connection:
        connection.sendall(START + b'Content-Length: 100\r\n\r\n{"data"')

    assert_serves(server)


def test_a_client_that_hangs_up_before_the_answer_disturbs_nobody(server: Server) -> None:
    """Requests whose clients have gone do not spoil those that run beside them."""
    body = json.dumps({"data": [fresh_row()], "use_cache": False}).encode()
    request = START + b"Content-Length: %d\r\n\r\n" % len(body) + body
    for _ in range(20):
        with server.connect() as connection:
            connection.sendall(request)

    assert_serves(server)


def test_http_1_0_is_answered(server: Server) -> None:
    """A client of HTTP/1.0 gets an answer and the end of the connection."""
    body = json.dumps({"data": [ROW]}).encode()
    with server.connect() as connection:
        connection.sendall(
            b"POST /predict HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        received = _read_to_end(connection)

    assert received.startswith(b"HTTP/1.0 200"), received
    assert b"class_2" in received


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    """Two requests in one piece are answered one after the other."""
    bodies = [json.dumps({"data": [ROW] * count}).encode() for count in (1, 2)]
    requests = [START + b"Content-Length: %d\r\n\r\n" % len(body) + body for body in bodies]
    last = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    with server.connect() as connection:
        connection.sendall(b"".join(requests) + last)
        received = _read_to_end(connection)

    assert received.count(b"HTTP/1.1 200") == 3
    assert received.index(b"[1,10]") < received.index(b"[2,10]") < received.index(b'"live"')


def test_expect_continue_is_answered(server: Server) -> None:
    """A client that asks before it sends is told to go on, and then answered."""
    body = json.dumps({"data": [ROW]}).encode()
    with server.connect() as connection:
        connection.sendall(
            START + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        told = connection.recv(1024)
        connection.sendall(body)
        answer = read_answer(connection)

    assert told.startswith(b"HTTP/1.1 100")
    assert answer.json()["labels"] == ["class_2"]


def _read_to_end(connection: Any) -> bytes:
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


# Deadlines and overload: one session, and a request that keeps it busy.


def test_full_queue_is_refused_with_a_time_to_come_back(occupied: Occupied) -> None:
    """Rows beyond MAX_QUEUE_SIZE are a 503 at once, with Retry-After; those before are answered."""
    waiting = occupied.fill(2)

    answer = occupied.ask(1)

    problem = assert_problem(answer, 503, "overloaded")
    assert "at most 2 rows" in problem["detail"]
    assert int(answer.headers["retry-after"]) >= 1
    assert not occupied.running.done()
    assert [future.result().status_code for future in waiting] == [200, 200]


def test_full_queue_fails_members_of_a_batch_alone(slow: Server, occupied: Occupied) -> None:
    """Of a batch that the queue has no room for, the members that fit are answered."""
    occupied.fill(1)
    members = [{"data": [[steps]], "use_cache": False} for steps in (2, 3)]

    answer = slow.client.post("/predict/batch", json={"requests": members})

    fits, refused = answer.json()["results"]
    assert fits["predictions"] == [4.0]
    assert (refused["error"]["status"], refused["error"]["code"]) == (503, "overloaded")


def test_deadline_that_passes_in_the_queue_is_told(occupied: Occupied) -> None:
    """A request that waits longer than its X-Request-Timeout-Ms is a 504 while others still run."""
    answer = occupied.ask(1, **{"X-Request-Timeout-Ms": "20"})

    assert not occupied.running.done()
    problem = assert_problem(answer, 504, "deadline_exceeded")
    assert problem["detail"].startswith("deadline: ")
    assert occupied.running.result().status_code == 200


def test_a_wide_deadline_changes_nothing(client: httpx.Client) -> None:
    """A request that is in time is answered, however much time it was given."""
    answer = client.post(
        "/predict", json={"data": [ROW]}, headers={"X-Request-Timeout-Ms": "999999999"}
    )

    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/v2/models/wine/infer"])
def test_a_deadline_counts_from_the_first_byte(server: Server, path: str) -> None:
    """A body that is still on its way when its deadline passes is answered 504 and never read."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\n"
        "X-Request-Timeout-Ms: 20\r\nContent-Length: 2\r\n\r\n"
    )
    with server.connect() as connection:
        connection.sendall(head.encode())
        time.sleep(0.05)
        connection.sendall(b"{}")
        answer = read_answer(connection)

    assert answer.status == 504
    assert b"deadline: passed while the request was read" in answer.body


def test_a_timeout_of_the_open_inference_protocol_counts_from_the_first_byte(
    server: Server,
) -> None:
    """Though it stands in the body, which may be slow to come."""
    tensor = {"name": "float_input", "shape": [1, 10], "datatype": "FP32", "data": ROW}
    body = json.dumps({"inputs": [tensor], "parameters": {"timeout": 20_000}})
    line = "POST /v2/models/wine/infer HTTP/1.1\r\nHost: localhost\r\n"
    head = f"{line}Content-Length: {len(body)}\r\n\r\n"
    with server.connect() as connection:
        connection.sendall(head.encode() + body[:-1].encode())
        time.sleep(0.05)
        connection.sendall(b"}")
        answer = read_answer(connection)

    assert answer.status == 504


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "soon", "", "1e3", "9" * 10, "1 2"])
def test_deadlines_that_are_no_time_are_refused(client: httpx.Client, value: str) -> None:
    """X-Request-Timeout-Ms is a whole number of milliseconds above 0."""
    answer = client.post("/predict", json={"data": [ROW]}, headers={"X-Request-Timeout-Ms": value})

    problem = assert_problem(answer, 422, "invalid_input")
    assert problem["detail"].startswith("x-request-timeout-ms: expected a positive number")
