"""The hot path from bytes to bytes: right answers, cached answers, batches of requests, deadlines.

Models run for real; only HTTP is missing.
"""

import asyncio
import math
from time import monotonic
from typing import Any

import numpy as np
import pytest

from ml_pipeline.engine.model.source import EngineOptions
from ml_pipeline.engine.wire.codec import WireFormat
from ml_pipeline.engine.wire.turns import Steps
from ml_pipeline.errors import (
    DeadlineExceeded,
    InferenceError,
    InvalidInput,
    MalformedRequest,
    ModelNotFound,
    RunRefused,
)
from ml_pipeline.protocols.timings import Timings
from ml_pipeline.settings import BUNDLED_MODELS
from tests.conftest import Reply, Serve, Served, WriteModel, json_call, to_body, with_batch
from tests.fakes import ManualClock
from tests.models import (
    Array,
    lookup_model,
    network_model,
    probabilities_model,
    reference,
    scale_model,
    sklearn_classifier,
    two_input_model,
)

ROW = [[1.0, 2.0, 3.0]]
OTHER_ROW = [[4.0, 5.0, 6.0]]
DOUBLED = [[2.0, 4.0, 6.0]]

wire_formats = pytest.mark.parametrize("wire_format", WireFormat, ids=lambda form: form.name)


@pytest.fixture
async def served(write_model: WriteModel, serve: Serve) -> Served:
    """A model that doubles its rows."""
    return await serve(write_model(scale_model(2.0)))


@pytest.fixture(params=[1.0, 0.0], ids=["inline", "in-lanes"])
async def either(
    request: pytest.FixtureRequest, write_model: WriteModel, serve: Serve, options: EngineOptions
) -> Served:
    """The same, which runs on the loop's thread, or in lanes."""
    options = with_batch(options, inline_budget_seconds=request.param)
    return await serve(write_model(scale_model(2.0)), options)


# End to end: what comes back is what ONNX Runtime gives for the same rows.

NUM_ROWS = 1000


def wines() -> Array:
    """Rows about as the wine model was trained on, float32 `[1000, 10]`."""
    random = np.random.default_rng(5)
    centre = np.array([13, 2.3, 19.5, 2.3, 2.0, 0.36, 5, 0.96, 2.6, 747])
    spread = np.array([0.8, 1.1, 3.3, 0.6, 1.0, 0.12, 2.3, 0.23, 0.7, 315])
    return random.normal(centre, spread, (NUM_ROWS, 10)).astype(np.float32)


class Questions:
    """Rows, the model that is asked, and what ONNX Runtime answers: all rows in one run."""

    def __init__(self, served: Served, rows: Array, expected: list[Array]) -> None:
        self.served = served
        self.rows = rows
        self.expected = expected

    def check(self, replies: list[Reply]) -> None:
        """Compare the answers, one after the other, with ONNX Runtime's for the same rows."""
        if len(self.expected) == 2:  # a classifier: labels, probabilities
            labels = np.concatenate([reply.predictions for reply in replies])
            scores = np.concatenate([reply.probabilities for reply in replies])
            assert labels.tolist() == self.expected[0].tolist()
        else:
            scores = np.concatenate([reply.predictions for reply in replies])
        np.testing.assert_allclose(scores, self.expected[-1], rtol=0, atol=1e-5)


@pytest.fixture(params=["wine-inline", "wine-in-lanes", "network-in-lanes"])
async def questions(
    request: pytest.FixtureRequest,
    write_model: WriteModel,
    serve: Serve,
    options: EngineOptions,
    pool_mode: EngineOptions,
) -> Questions:
    """1,000 rows for the bundled model, and for a heavier one that runs in its lanes."""
    if request.param == "network-in-lanes":
        path, name = write_model(network_model(256)), "x"
        rows = np.random.default_rng(6).standard_normal((NUM_ROWS, 16)).astype(np.float32)
    else:
        path, name, rows = BUNDLED_MODELS / "wine.onnx", "float_input", wines()
    served = await serve(path, options if request.param == "wine-inline" else pool_mode)
    return Questions(served, rows, reference(path, {name: rows}))


@wire_formats
async def test_rows_sent_one_by_one(questions: Questions, wire_format: WireFormat) -> None:
    """A thousand rows, each sent after the answer to the last, are answered right."""
    replies = [
        await questions.served.ask(row[None], wire_format=wire_format) for row in questions.rows
    ]

    questions.check(replies)


@wire_formats
async def test_rows_sent_in_requests_of_any_size(
    questions: Questions, wire_format: WireFormat
) -> None:
    """Requests of 1 row to some hundred, larger than a batch too, are answered right."""
    sizes = np.random.default_rng(7).geometric(0.01, NUM_ROWS).cumsum()
    parts = np.split(questions.rows, sizes[sizes < NUM_ROWS])
    assert max(map(len, parts)) > 256

    replies = [await questions.served.ask(part, wire_format=wire_format) for part in parts]

    questions.check(replies)


@wire_formats
async def test_rows_sent_at_once(questions: Questions, wire_format: WireFormat) -> None:
    """A thousand rows in a thousand requests that come together are each answered right."""
    replies = await asyncio.gather(
        *(questions.served.ask(row[None], wire_format=wire_format) for row in questions.rows)
    )

    questions.check(replies)


@wire_formats
async def test_requests_of_any_size_sent_at_once(
    questions: Questions, wire_format: WireFormat
) -> None:
    """Requests of all sizes that come together are each answered right."""
    sizes = np.random.default_rng(8).geometric(0.1, NUM_ROWS).cumsum()
    parts = np.split(questions.rows, sizes[sizes < NUM_ROWS])

    replies = await asyncio.gather(
        *(questions.served.ask(part, wire_format=wire_format) for part in parts)
    )

    questions.check(replies)


async def test_hits_are_the_same_answers(questions: Questions) -> None:
    """Asked again, every row gets from the cache what ONNX Runtime gave for it."""
    for row in questions.rows:
        await questions.served.ask(row[None])

    replies = [await questions.served.ask(row[None]) for row in questions.rows]

    questions.check(replies)
    assert {reply.timings.cache_state for reply in replies} == {"l1"}


# What is learned on the way.


async def test_timings_tell_model_and_rows(served: Served) -> None:
    """After the answer it is known which model gave it, and for how many rows."""
    reply = await served.ask(ROW * 2)

    assert (reply.timings.model_name, reply.timings.num_rows) == ("model", 2)


async def test_timings_tell_where_the_time_went(served: Served) -> None:
    """A computed answer has taken time to decode, to look up and to run."""
    timings = (await served.ask(ROW)).timings

    assert min(timings.decode_seconds, timings.cache_seconds, timings.run_seconds) > 0
    assert timings.queue_seconds >= 0


async def test_answer_says_what_was_asked(served: Served) -> None:
    """`model_info` holds name, version and the shape of the rows."""
    info = (await served.ask(ROW * 2)).answer["model_info"]

    assert (info["model_name"], info["model_version"]) == ("model", "1")
    assert info["input_shape"] == [2, 3]


async def test_unknown_model_is_not_found(served: Served) -> None:
    """A request for a model that is not there is told so."""
    with pytest.raises(ModelNotFound):
        await served.ask(ROW, model="other")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", MalformedRequest),
        (b'{"data": [[1, 2, 3]]', MalformedRequest),
        (b'{"data": [[1, 2]]}', InvalidInput),
        (b'{"data": [[1, 2, "3"]]}', InvalidInput),
        (b'{"data": [[1, 2, 3]], "use_cache": 0}', InvalidInput),
        (b"{}", InvalidInput),
    ],
)
async def test_bad_request_is_neither_run_nor_stored(
    body: bytes, error: type[InferenceError], served: Served
) -> None:
    """What cannot be read or does not fit is refused before any work."""
    call = json_call(body)

    with pytest.raises(error):
        await served.predict(call)

    assert served.batches == []
    assert served.cache.statistics().num_entries == 0


# Cache states.


@wire_formats
async def test_first_request_is_a_miss_the_second_a_hit(
    wire_format: WireFormat, served: Served
) -> None:
    """Equal rows are computed once."""
    states = [
        (await served.ask(ROW, wire_format=wire_format)).timings.cache_state for _ in range(2)
    ]

    assert states == ["miss", "l1"]
    assert len(served.batches) == 1


@wire_formats
async def test_hit_differs_from_its_miss_in_cached_only(
    wire_format: WireFormat, served: Served
) -> None:
    """A hit is the answer of the run that made it, its `prediction_time` kept, `cached` true."""
    miss = (await served.ask(ROW, wire_format=wire_format)).answer
    hit = (await served.ask(ROW, wire_format=wire_format)).answer

    assert [answer["model_info"].pop("cached") for answer in (miss, hit)] == [False, True]
    assert miss == hit
    assert miss["model_info"]["prediction_time"] > 0


async def test_hit_of_a_classifier_is_whole(write_model: WriteModel, serve: Serve) -> None:
    """Probabilities and labels come from the cache as they were computed."""
    served = await serve(write_model(sklearn_classifier(), class_names=["x", "y", "z"]))
    row = [[1.0, -2.0, 0.5, 3.0]]

    miss, hit = [await served.ask(row) for _ in range(2)]

    for field in ("predictions", "probabilities", "labels"):
        assert hit.answer[field] == miss.answer[field]
    assert (miss.cached, hit.cached) == (False, True)


@pytest.mark.parametrize("value", [7.5, 1e-30, -0.0])
async def test_cached_says_so_whatever_the_rows(value: float, served: Served) -> None:
    """A hit is a well-formed answer for any value."""
    for _ in range(2):
        reply = await served.ask([[value] * 3])

    assert reply.cached
    np.testing.assert_allclose(reply.predictions, [[np.float32(value) * 2] * 3], rtol=1e-6)


async def test_other_rows_are_another_entry(served: Served) -> None:
    """Different rows never share an answer."""
    replies = [await served.ask(rows) for rows in (ROW, OTHER_ROW, ROW + OTHER_ROW)]

    assert {reply.timings.cache_state for reply in replies} == {"miss"}
    assert [reply.predictions.tolist() for reply in replies] == [
        DOUBLED,
        [[8.0, 10.0, 12.0]],
        [[2.0, 4.0, 6.0], [8.0, 10.0, 12.0]],
    ]


async def test_other_shape_of_the_same_numbers_is_another_entry(
    write_model: WriteModel, serve: Serve
) -> None:
    """One row of 4 and two rows of 2 have the same bytes, and are different questions."""
    served = await serve(write_model(scale_model(shape=[None, None])))

    wide = await served.ask([[1.0, 2.0, 3.0, 4.0]])
    tall = await served.ask([[1.0, 2.0], [3.0, 4.0]])

    assert (wide.predictions.shape, tall.predictions.shape) == ((1, 4), (2, 2))


async def test_other_model_is_another_entry(write_model: WriteModel, serve: Serve) -> None:
    """The same rows asked of two models meet in no entry, not even for equal files."""
    write_model(scale_model(2.0), "a")
    path = write_model(scale_model(2.0), "b")
    served = await serve(path.parent)

    replies = [await served.ask(ROW, model=name) for name in ("a", "b")]

    assert [reply.answer["model_info"]["model_name"] for reply in replies] == ["a", "b"]
    assert [reply.timings.cache_state for reply in replies] == ["miss", "miss"]


@pytest.mark.parametrize(
    "spelling",
    [
        b'{"data":[[1,2,3]]}',
        b'{ "data" : [ [ 1.0, 2e0, 30e-1 ] ] }',
        b'{"use_cache":true,"data":[[1.0,2.0,3.0]]}',
        b'{"data":[[1.0,2.0,3.0]],"cache_ttl":5}',
    ],
)
async def test_spelling_does_not_matter(spelling: bytes, served: Served) -> None:
    """Equal values in another JSON are the same question."""
    await served.ask(ROW)
    timings = Timings(monotonic())

    await served.predictor.predict(json_call(spelling), timings)

    assert timings.cache_state == "l1"


async def test_format_of_the_question_does_not_matter(served: Served) -> None:
    """Rows sent as JSON and as raw bytes meet in one entry, where the answer is in one format."""
    rows = np.array(ROW, np.float32)
    await served.ask(rows, wire_format=WireFormat.JSON)

    reply = await served.ask(rows, wire_format=WireFormat.MSGPACK, answer_format=WireFormat.JSON)

    assert reply.timings.cache_state == "l1"


async def test_formats_of_the_answer_never_share_an_entry(served: Served) -> None:
    """An answer stored as JSON is not sent to a client that wants MessagePack."""
    replies = [
        await served.ask(ROW, answer_format=answer_format)
        for answer_format in (*WireFormat, *WireFormat)
    ]

    states = [reply.timings.cache_state for reply in replies]
    assert states == ["miss", "miss", "l1", "l1"]
    assert [reply.predictions.tolist() for reply in replies] == [DOUBLED] * 4


async def test_formats_of_the_answer_never_share_a_flight(served: Served) -> None:
    """Equal rows that come together for answers in two formats are two questions."""
    replies = await asyncio.gather(
        *(served.ask(ROW, answer_format=answer_format) for answer_format in WireFormat)
    )

    assert [reply.timings.cache_state for reply in replies] == ["miss", "miss"]
    assert [reply.predictions.tolist() for reply in replies] == [DOUBLED, DOUBLED]


async def test_use_cache_false_does_not_read(served: Served) -> None:
    """A request that wants no cache is computed though the answer is there."""
    await served.ask(ROW)

    reply = await served.ask(ROW, use_cache=False)

    assert (reply.timings.cache_state, reply.cached) == ("bypass", False)
    assert len(served.batches) == 2


async def test_use_cache_false_does_not_write(served: Served) -> None:
    """A request that wants no cache leaves nothing there."""
    await served.ask(ROW, use_cache=False)

    assert served.cache.statistics().num_entries == 0
    assert (await served.ask(ROW)).timings.cache_state == "miss"


async def test_use_cache_false_does_not_share(served: Served) -> None:
    """Equal requests that want no cache are each computed, though they come together."""
    replies = await asyncio.gather(*(served.ask(ROW, use_cache=False) for _ in range(3)))

    assert {reply.timings.cache_state for reply in replies} == {"bypass"}
    assert [record.num_requests for record in served.batches] == [3]


async def test_cache_ttl_is_the_longest_life_of_an_answer(
    write_model: WriteModel, serve: Serve, options: EngineOptions
) -> None:
    """`cache_ttl` bounds how long an answer is served from the cache."""
    clock = ManualClock()
    served = await serve(write_model(scale_model()), options, clock)
    await served.ask(ROW, cache_ttl=10)

    clock.advance(8)
    young = await served.ask(ROW)
    clock.advance(3)
    old = await served.ask(ROW)

    assert [young.timings.cache_state, old.timings.cache_state] == ["l1", "miss"]


async def test_default_ttl_is_taken_where_none_is_named(
    write_model: WriteModel, serve: Serve, options: EngineOptions
) -> None:
    """Without `cache_ttl` an answer lives as long as the server's default says."""
    clock = ManualClock()
    served = await serve(write_model(scale_model()), options, clock)
    await served.ask(ROW)

    clock.advance(3000)
    young = await served.ask(ROW)
    clock.advance(700)
    old = await served.ask(ROW)

    assert [young.timings.cache_state, old.timings.cache_state] == ["l1", "miss"]


# Equal requests at once.


async def test_equal_requests_at_once_are_run_once(either: Served) -> None:
    """Of equal requests that come together one is computed, and the others share its answer."""
    replies = await asyncio.gather(*(either.ask(ROW) for _ in range(20)))

    assert [reply.timings.cache_state for reply in replies] == ["miss", *["coalesced"] * 19]
    assert [(record.num_requests, record.num_rows) for record in either.batches] == [(1, 1)]
    assert {reply.predictions.tobytes() for reply in replies} == {np.array(DOUBLED).tobytes()}


async def test_shared_answer_is_not_called_cached(served: Served) -> None:
    """`cached` is true of answers from the cache alone."""
    replies = await asyncio.gather(*(served.ask(ROW) for _ in range(3)))

    assert [reply.cached for reply in replies] == [False, False, False]
    assert (await served.ask(ROW)).cached


async def test_followers_outlive_a_leader_that_leaves(
    write_model: WriteModel, serve: Serve, pool_mode: EngineOptions
) -> None:
    """A client that hangs up takes nobody with it who asked the same."""
    served = await serve(write_model(scale_model()), pool_mode)
    leader = asyncio.create_task(served.ask(ROW))
    followers = [asyncio.create_task(served.ask(ROW)) for _ in range(3)]
    await asyncio.sleep(0)

    leader.cancel()
    replies = await asyncio.wait_for(asyncio.gather(*followers), 5)

    assert leader.cancelled()
    assert [reply.predictions.tolist() for reply in replies] == [DOUBLED] * 3


async def test_followers_outlive_a_leader_whose_deadline_passes(served: Served) -> None:
    """A deadline concerns the request that had it, not those who asked the same with more time."""
    late = asyncio.create_task(served.ask(ROW, timeout_seconds=-1.0))
    timely = asyncio.create_task(served.ask(ROW))

    done, _ = await asyncio.wait({late, timely}, timeout=5)

    assert done == {late, timely}
    assert isinstance(late.exception(), DeadlineExceeded)
    assert timely.result().predictions.tolist() == DOUBLED


async def test_different_requests_at_once_share_a_run(served: Served) -> None:
    """Different rows that come together are run together, and answered apart."""
    rows = [[[float(value)] * 3] for value in range(10)]

    replies = await asyncio.gather(*(served.ask(row) for row in rows))

    assert [record.num_requests for record in served.batches] == [10]
    assert [reply.predictions[0, 0] for reply in replies] == [2.0 * value for value in range(10)]


async def test_guilty_rows_fail_alone(write_model: WriteModel, serve: Serve) -> None:
    """Rows that the model refuses do not spoil the run of those that came with them."""
    served = await serve(write_model(lookup_model(), sample=[[100], [101]]))

    asked = [asyncio.create_task(served.ask([[value]])) for value in (100, 7, 102)]
    await asyncio.wait(asked, timeout=5)

    assert isinstance(asked[1].exception(), RunRefused)
    assert [asked[index].result().predictions.tolist() for index in (0, 2)] == [[1000], [1020]]


async def test_failure_is_not_remembered(write_model: WriteModel, serve: Serve) -> None:
    """A failed run is stored nowhere: the same request is tried again."""
    served = await serve(write_model(lookup_model(), sample=[[100], [101]]))

    for _ in range(2):
        with pytest.raises(RunRefused):
            await served.ask([[7]])

    assert served.cache.statistics().num_entries == 0


# Deadlines.


async def test_passed_deadline_is_not_run(either: Served) -> None:
    """A request that comes too late is told so, and costs no run."""
    with pytest.raises(DeadlineExceeded):
        await either.ask(ROW, timeout_seconds=-1.0)

    assert either.batches == []


async def test_late_request_does_not_hold_up_its_company(served: Served) -> None:
    """Of requests that come together only those past their deadline are refused."""
    late = asyncio.create_task(served.ask(ROW, timeout_seconds=-1.0))
    timely = asyncio.create_task(served.ask(OTHER_ROW))

    done, _ = await asyncio.wait({late, timely}, timeout=5)

    assert done == {late, timely}
    assert isinstance(late.exception(), DeadlineExceeded)
    assert timely.result().predictions.tolist() == [[8.0, 10.0, 12.0]]
    assert [record.num_requests for record in served.batches] == [1]


# Batches of requests.


@wire_formats
async def test_batch_answers_each_member_as_alone(
    wire_format: WireFormat, write_model: WriteModel, serve: Serve
) -> None:
    """A member's answer is the one that it would get by itself."""
    path = write_model(probabilities_model(), model_type="classifier", class_names=list("abc"))
    served = await serve(path)
    rows = np.random.default_rng(9).standard_normal((6, 4)).astype(np.float32)
    members: list[dict[str, Any]] = [{"data": part} for part in np.split(rows, [1, 3])]

    results, _ = await served.ask_batch(members, wire_format=wire_format)

    alone = [
        (await served.ask(member["data"], wire_format=wire_format)).answer for member in members
    ]
    for result, answer in zip(results, alone, strict=True):
        result["model_info"].pop("cached"), answer["model_info"].pop("cached")
        assert result == answer


async def test_misses_of_a_batch_are_one_run(served: Served) -> None:
    """Members that are not in the cache are run together."""
    members = [{"data": [[float(value)] * 3]} for value in range(8)]

    results, answered = await served.ask_batch(members)

    assert [record.num_requests for record in served.batches] == [8]
    assert [result["predictions"][0][0] for result in results] == [2.0 * v for v in range(8)]
    assert {each.cache_state for each in answered} == {"miss"}


async def test_misses_of_a_batch_are_one_run_after_a_single_request_too(served: Served) -> None:
    """Members know that they come together: the first is not run ahead of the others."""
    await served.ask(ROW)
    await served.ask(OTHER_ROW)

    await served.ask_batch([{"data": [[float(value)] * 3]} for value in range(50, 58)])

    assert [record.num_requests for record in served.batches] == [1, 1, 8]


async def test_misses_over_the_batch_size_are_as_few_runs_as_fit(
    write_model: WriteModel, serve: Serve, options: EngineOptions
) -> None:
    """Ten rows in runs of four at most are three runs."""
    served = await serve(write_model(scale_model()), with_batch(options, max_batch_size=4))

    await served.ask_batch([{"data": [[float(value)] * 3]} for value in range(10)])

    assert [record.num_rows for record in served.batches] == [4, 4, 2]


async def test_hits_and_misses_mix(served: Served) -> None:
    """Members in the cache come from there; the others are run, and are there the next time."""
    await served.ask(ROW)
    members: list[dict[str, Any]] = [{"data": ROW}, {"data": OTHER_ROW}]

    first, first_answered = await served.ask_batch(members)
    second, second_answered = await served.ask_batch(members)

    assert [result["model_info"]["cached"] for result in first] == [True, False]
    assert [result["model_info"]["cached"] for result in second] == [True, True]
    assert [each.cache_state for each in first_answered] == ["l1", "miss"]
    assert [each.cache_state for each in second_answered] == ["l1", "l1"]
    assert [record.num_requests for record in served.batches] == [1, 1]


async def test_batch_and_single_requests_share_the_cache(served: Served) -> None:
    """What a batch has computed is a hit for a request of its own."""
    await served.ask_batch([{"data": ROW}])

    assert (await served.ask(ROW)).timings.cache_state == "l1"


async def test_duplicates_in_a_batch_are_computed_once(served: Served) -> None:
    """Equal members share one computation, and each has its answer."""
    results, answered = await served.ask_batch([{"data": ROW}, {"data": OTHER_ROW}, {"data": ROW}])

    assert [record.num_rows for record in served.batches] == [2]
    assert [each.cache_state for each in answered] == ["miss", "miss", "coalesced"]
    assert results[0]["predictions"] == results[2]["predictions"] == DOUBLED


async def test_members_choose_about_the_cache(served: Served) -> None:
    """`use_cache` false of one member concerns that member."""
    _, answered = await served.ask_batch([{"data": ROW, "use_cache": False}, {"data": OTHER_ROW}])

    assert [each.cache_state for each in answered] == ["bypass", "miss"]
    assert served.cache.statistics().num_entries == 1


bad_members: list[Any] = [
    pytest.param({"data": [[1.0, 2.0]]}, 422, r"requests[1].data: ", id="width"),
    pytest.param({"data": [[1.0, 2.0, "x"]]}, 422, r"requests[1].data", id="type"),
    pytest.param({"rows": ROW}, 422, r"requests[1].", id="field"),
    pytest.param({"data": ROW, "cache_ttl": 0}, 422, r"requests[1].cache_ttl: ", id="ttl"),
    pytest.param({"data": []}, 422, r"requests[1].data: ", id="no-rows"),
    pytest.param({}, 422, r"requests[1].data: ", id="empty"),
    pytest.param(5, 422, r"requests[1]", id="number"),
    pytest.param(None, 422, r"requests[1]", id="null"),
]


@pytest.mark.parametrize(("bad", "status", "told"), bad_members)
@wire_formats
async def test_bad_member_spoils_no_other(
    bad: Any, status: int, told: str, wire_format: WireFormat, served: Served
) -> None:
    """A member that cannot be used is answered with its problem, in its place."""
    results, answered = await served.ask_batch(
        [{"data": ROW}, bad, {"data": OTHER_ROW}], wire_format=wire_format
    )

    problem = results[1]["error"]
    assert (problem["status"], problem["request_id"]) == (status, "request-1")
    assert problem["detail"].startswith(told)
    assert ["error" in result for result in results] == [False, True, False]
    assert len(answered) == 2


async def test_member_that_fails_in_the_run_spoils_no_other(
    write_model: WriteModel, serve: Serve
) -> None:
    """Rows that the model refuses are a problem of their member alone."""
    served = await serve(write_model(lookup_model(), sample=[[100], [101]]))

    results, answered = await served.ask_batch(
        [{"data": [[100]]}, {"data": [[7]]}, {"data": [[102]]}]
    )

    assert results[1]["error"]["code"] == "run_refused"
    assert [results[index]["predictions"] for index in (0, 2)] == [[1000], [1020]]
    assert len(answered) == 2


async def test_batch_past_its_deadline_answers_each_member_so(served: Served) -> None:
    """Members that come too late are each told so; those in the cache are answered."""
    await served.ask(ROW)

    results, answered = await served.ask_batch(
        [{"data": ROW}, {"data": OTHER_ROW}], timeout_seconds=-1.0
    )

    assert results[0]["predictions"] == DOUBLED
    assert results[1]["error"]["code"] == "deadline_exceeded"
    assert [each.cache_state for each in answered] == ["l1"]


async def test_a_deadline_that_passes_amid_a_long_answer_is_that_members(served: Served) -> None:
    """Its answer waits for its turn to be written until it is too late; neighbours have theirs."""
    turns, done = served.inference.turns, False

    def hold() -> Steps[None]:
        while not done:
            yield

    held = asyncio.create_task(turns.take(hold(), math.inf))
    await asyncio.sleep(0)
    long = [[float(number), 0.0, 0.0] for number in range(6000)]
    results, calls = await served.ask_batch(
        [{"data": ROW}, {"data": long}, {"data": OTHER_ROW}], timeout_seconds=2.0
    )
    with pytest.raises(DeadlineExceeded, match="before a large body had its turn"):
        await served.ask(long[1:], timeout_seconds=2.0)
    done = True
    await held

    assert [results[index]["predictions"] for index in (0, 2)] == [DOUBLED, [[8.0, 10.0, 12.0]]]
    assert results[1]["error"]["status"] == 504
    assert results[1]["error"]["code"] == "deadline_exceeded"
    assert len(calls) == 2


async def test_batch_for_several_inputs_names_them(write_model: WriteModel, serve: Serve) -> None:
    """Each member for a model with two inputs is told which they are."""
    served = await serve(write_model(two_input_model()))

    results, answered = await served.ask_batch([{"data": ROW}])

    assert "left, right" in results[0]["error"]["detail"]
    assert answered == []


@pytest.mark.parametrize(
    ("body", "error", "told"),
    [
        (b'{"requests": []}', InvalidInput, "requests: expected at least 1, found 0"),
        (b"{}", InvalidInput, "requests: "),
        (b'{"requests": 5}', InvalidInput, "requests: "),
        (b'{"requests": [{}], "more": 1}', InvalidInput, "more"),
        (b"[]", InvalidInput, "expected object"),
        (b'{"requests": [', MalformedRequest, "body: expected JSON"),
    ],
)
async def test_batch_that_is_none_is_refused_as_a_whole(
    body: bytes, error: type[InferenceError], told: str, served: Served
) -> None:
    """A body without a list of requests is one error."""
    call = json_call(body)

    with pytest.raises(error, match=told):
        await served.batch_predictor.predict(call, Timings(monotonic()), "request-1")


async def test_too_many_members_are_refused_before_any_work(served: Served) -> None:
    """A batch over the limit is one error, with limit and number, and nothing is run."""
    with pytest.raises(InvalidInput, match="requests: expected at most 100, found more"):
        await served.ask_batch([{"data": ROW}] * 101)

    assert served.batches == []


async def test_as_many_members_as_allowed_are_answered(served: Served) -> None:
    """The limit itself is within it."""
    results, _ = await served.ask_batch([{"data": ROW}] * 100)

    assert len(results) == 100


async def test_batch_for_an_unknown_model_is_not_found(served: Served) -> None:
    """The model of a batch is one for all its members."""
    body = to_body({"requests": [{"data": ROW}]}, WireFormat.JSON)
    call = json_call(body, "other")

    with pytest.raises(ModelNotFound):
        await served.batch_predictor.predict(call, Timings(monotonic()), "request-1")


async def test_client_that_leaves_a_batch_leaves_nothing_behind(
    write_model: WriteModel, serve: Serve, pool_mode: EngineOptions
) -> None:
    """A batch whose client hangs up holds no model and no flight: the same is answered after."""
    served = await serve(write_model(scale_model()), pool_mode)
    leaving = asyncio.create_task(served.ask_batch([{"data": ROW}, {"data": OTHER_ROW}]))
    await asyncio.sleep(0)

    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)

    reply = await asyncio.wait_for(served.ask(ROW), 5)
    assert reply.predictions.tolist() == DOUBLED
    assert served.repository.get(None).num_users == 0


async def test_member_computes_itself_what_a_client_that_left_was_computing(
    write_model: WriteModel, serve: Serve, options: EngineOptions
) -> None:
    """A batch that waits for another's computation is answered though that client hangs up."""
    served = await serve(
        write_model(scale_model()), with_batch(options, max_queue_delay_seconds=0.05)
    )
    leaving = asyncio.create_task(served.ask(ROW))
    await asyncio.sleep(0)
    asked = asyncio.create_task(served.ask_batch([{"data": ROW}, {"data": OTHER_ROW}]))
    await asyncio.sleep(0)

    leaving.cancel()
    results, answered = await asyncio.wait_for(asked, 5)

    assert results[0]["predictions"] == DOUBLED
    assert [each.cache_state for each in answered] == ["miss", "miss"]


async def test_members_that_do_not_fit_into_the_queue_are_refused_alone(
    write_model: WriteModel, serve: Serve, options: EngineOptions
) -> None:
    """Of five members for a queue of three, two are refused, and answered when asked again."""
    served = await serve(write_model(scale_model()), with_batch(options, max_queue_size=3))
    members = [{"data": [[float(value)] * 3]} for value in range(5)]

    results, answered = await served.ask_batch(members)
    again, _ = await served.ask_batch(members[3:])

    codes = [result.get("error", {}).get("code") for result in results]
    assert codes == [None, None, None, "overloaded", "overloaded"]
    assert len(answered) == 3
    assert [result["predictions"][0][0] for result in again] == [6.0, 8.0]


async def test_member_larger_than_a_batch_is_answered_whole(
    write_model: WriteModel, serve: Serve, options: EngineOptions
) -> None:
    """Rows of a member that need several runs come back in one answer."""
    served = await serve(write_model(scale_model()), with_batch(options, max_batch_size=4))

    results, _ = await served.ask_batch(
        [{"data": ROW}, {"data": [[float(v)] * 3 for v in range(9)]}]
    )

    assert results[0]["predictions"] == DOUBLED
    assert [row[0] for row in results[1]["predictions"]] == [2.0 * value for value in range(9)]
