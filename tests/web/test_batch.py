"""`POST /predict/batch` over HTTP: many requests at once, each with an answer of its own."""

import json
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

from tests.server import Server
from tests.web.problem import assert_problem, assert_problem_body
from tests.web.samples import ROW, WINE_ROWS, fresh_row, raw_tensor, to_array, wine_answers

MSGPACK = "application/msgpack"


def results(client: httpx.Client, *members: Any) -> list[dict[str, Any]]:
    """Send members, and give what became of each."""
    answer = client.post("/predict/batch", json={"requests": members})
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"results"}
    found: list[dict[str, Any]] = answer.json()["results"]
    return found


def test_answers_come_in_the_order_of_the_requests(client: httpx.Client) -> None:
    """The results are one answer a member, in their order, each with all of its rows."""
    members = [{"data": [fresh_row() for _ in range(count)]} for count in (3, 1, 300, 2)]

    found = results(client, *members)

    for member, result in zip(members, found, strict=True):
        labels, probabilities = wine_answers(member["data"])
        assert result["predictions"] == labels.tolist()
        np.testing.assert_allclose(result["probabilities"], probabilities, rtol=1e-4, atol=1e-7)


def test_a_member_is_answered_as_if_it_came_alone(client: httpx.Client) -> None:
    """A member's answer is, to the byte, what `POST /predict` gives for it."""
    body = {"data": WINE_ROWS[:2]}
    client.post("/predict", json=body)
    alone = client.post("/predict", json=body)

    batch = client.post("/predict/batch", json={"requests": [body]})

    assert batch.content == b'{"results":[' + alone.content + b"]}"


def test_a_bad_member_spoils_no_other(client: httpx.Client) -> None:
    """A member that fails is answered with its problem, the others with their predictions."""
    bad = [{"data": [[1.0]]}, {}, 7, None, {"data": [[*ROW[:9], "x"]]}, {"data": [ROW], "x": 1}]

    first, *failed, last = results(client, {"data": [ROW]}, *bad, {"data": [ROW]})

    assert (first["labels"], last["labels"]) == (["class_2"], ["class_2"])
    for index, result in enumerate(failed, 1):
        assert result.keys() == {"error"}
        assert_problem_body(result["error"])
        assert (result["error"]["status"], result["error"]["code"]) == (422, "invalid_input")
        assert result["error"]["detail"].startswith(f"requests[{index}].")


def test_problems_of_members_carry_the_id_of_the_request(client: httpx.Client) -> None:
    """Every failed member tells the request id of the whole."""
    answer = client.post(
        "/predict/batch", json={"requests": [{}, {}]}, headers={"X-Request-ID": "batch-7"}
    )

    ids = [result["error"]["request_id"] for result in answer.json()["results"]]
    assert ids == ["batch-7", "batch-7"]


def test_a_member_with_data_twice_fails_alone(client: httpx.Client) -> None:
    """A field that a member has twice is a fault of this member."""
    member = json.dumps({"data": [ROW]})
    twice = member[:-1] + "," + member[1:]

    answer = client.post("/predict/batch", content=f'{{"requests": [{twice}, {member}]}}')

    failed, served = answer.json()["results"]
    assert failed["error"]["code"] == "invalid_input"
    assert served["labels"] == ["class_2"]


def test_states_of_the_cache_are_counted(client: httpx.Client) -> None:
    """X-Cache of a batch tells how many members were answered from where."""
    known = {"data": [fresh_row()]}
    client.post("/predict", json=known)
    members = [known, {"data": [fresh_row()]}, {"data": [ROW], "use_cache": False}]

    answer = client.post("/predict/batch", json={"requests": members})

    assert answer.headers["x-cache"] == "bypass;n=1, l1;n=1, miss;n=1"
    cached = [result["model_info"]["cached"] for result in answer.json()["results"]]
    assert cached == [True, False, False]


def test_equal_members_are_computed_once(client: httpx.Client) -> None:
    """Of equal members that no cache knows one is computed, the others share its answer."""
    member = {"data": [fresh_row()]}

    answer = client.post("/predict/batch", json={"requests": [member] * 3})

    assert answer.headers["x-cache"] == "coalesced;n=2, miss;n=1"
    predictions = [result["probabilities"] for result in answer.json()["results"]]
    assert predictions[0] == predictions[1] == predictions[2]


def test_members_fill_the_cache(client: httpx.Client) -> None:
    """What a batch computes, a later single request finds."""
    member = {"data": [fresh_row()]}
    results(client, member)

    answer = client.post("/predict", json=member)

    assert answer.headers["x-cache"] == "l1"


def test_msgpack_members_are_answered_in_msgpack(client: httpx.Client) -> None:
    """A MessagePack batch holds raw tensors in its members and in its results."""
    members = [{"data": raw_tensor(WINE_ROWS)}, {"data": [ROW]}, {"data": raw_tensor([[1.0]])}]
    content = msgspec.msgpack.encode({"requests": members})

    answer = client.post("/predict/batch", content=content, headers={"Content-Type": MSGPACK})

    assert answer.headers["content-type"] == MSGPACK
    raw, listed, failed = msgspec.msgpack.decode(answer.content)["results"]
    assert to_array(raw["predictions"]).tolist() == wine_answers(WINE_ROWS)[0].tolist()
    assert to_array(listed["predictions"]).tolist() == [2]
    assert_problem_body(failed["error"])


def test_accept_chooses_the_format_of_the_results(client: httpx.Client) -> None:
    """A JSON batch may be answered in MessagePack."""
    answer = client.post(
        "/predict/batch", json={"requests": [{"data": [ROW]}]}, headers={"Accept": MSGPACK}
    )

    (result,) = msgspec.msgpack.decode(answer.content)["results"]
    assert to_array(result["predictions"]).tolist() == [2]


def test_the_model_is_that_of_the_whole_batch(zoo: Server) -> None:
    """`?model=` chooses the model for every member."""
    members = [{"data": [[100]]}, {"data": [[102]]}]

    answer = zoo.client.post("/predict/batch?model=brittle", json={"requests": members})

    assert [r["predictions"] for r in answer.json()["results"]] == [[1000], [1020]]


def test_a_member_whose_run_fails_fails_alone(zoo: Server) -> None:
    """Members share a run; if it fails, only the guilty one is answered with an error."""
    members = [{"data": [[100]]}, {"data": [[5]]}, {"data": [[101]]}]

    answer = zoo.client.post("/predict/batch?model=brittle", json={"requests": members})

    first, guilty, last = answer.json()["results"]
    assert (first["predictions"], last["predictions"]) == ([1000], [1010])
    assert (guilty["error"]["status"], guilty["error"]["code"]) == (500, "run_refused")


def test_an_unknown_model_fails_the_whole_batch(zoo: Server) -> None:
    """A batch for a model that is not there is one 404."""
    answer = zoo.client.post("/predict/batch?model=vine", json={"requests": [{"data": [ROW]}]})

    assert_problem(answer, 404, "model_not_found")


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b'{"requests": [{"data": [[1', 400),
        (b'{"requests": [{]}', 400),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"requests": []}', 422),
        (b'{"requests": null}', 422),
        (b'{"requests": {"data": [[1]]}}', 422),
        (b'{"requests": [{"data": [[1]]}], "use_cache": false}', 422),
        (b'{"requests": [{"data": [[1]]}], "requests": [{"data": [[1]]}]}', 422),
    ],
)
def test_a_bad_batch_is_explained(client: httpx.Client, content: bytes, status: int) -> None:
    """What is no list of requests is a 400 or 422 with a reason, and the next is served."""
    answer = client.post(
        "/predict/batch", content=content, headers={"Content-Type": "application/json"}
    )

    assert_problem(answer, status, {400: "malformed_request", 422: "invalid_input"}[status])
    assert results(client, {"data": [ROW]})[0]["labels"] == ["class_2"]


def test_as_many_members_as_max_rows_are_allowed(strict_server: Server) -> None:
    """MAX_ROWS members of one row are answered."""
    members = [{"data": [[1] * 10]}] * 20

    assert len(results(strict_server.client, *members)) == 20


def test_more_members_than_max_rows_are_refused(strict_server: Server) -> None:
    """One member more than MAX_ROWS is a 422 with both numbers."""
    members = [{"data": [[1] * 10]}] * 21

    answer = strict_server.client.post("/predict/batch", json={"requests": members})

    problem = assert_problem(answer, 422, "invalid_input")
    assert problem["detail"] == "requests: expected at most 20, found more"


def test_other_content_types_are_refused(client: httpx.Client) -> None:
    """A batch that is neither JSON nor MessagePack is a 415."""
    answer = client.post("/predict/batch", content=b"{}", headers={"Content-Type": "text/csv"})

    assert_problem(answer, 415, "unsupported_media_type")
