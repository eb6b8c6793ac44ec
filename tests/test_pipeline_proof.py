"""What caches keep of a model whose graph does not tell whether its rows stay apart.

Real models on a real repository; what their graphs tell of the rows is said by the test.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from ml_pipeline.cache.memory import MemoryCache
from ml_pipeline.cache.tiered import TieredCache
from ml_pipeline.engine.batching.proof import FIRST_ROWS
from ml_pipeline.engine.graph.report import Verdict
from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.model.source import EngineOptions
from tests.conftest import Served, WriteModel, with_batch
from tests.models import HUGE, graph, mean_model, minding_model, node, scale_model, tensor
from tests.redis_cache import RedisTier, until
from tests.redis_server import RedisServer
from tests.verdicts import Judge

ROW, HUGE_ROW = [[1.0, 2.0, 3.0]], [[2 * HUGE] * 3]
DOUBLED, TRIPLED = [[2.0, 4.0, 6.0]], [[3.0, 6.0, 9.0]]

Start = Callable[..., Awaitable[Served]]


@pytest.fixture
def judges() -> Iterator[Callable[[Verdict], Judge]]:
    """Make a reader that tells a verdict; closed at the end of the test."""
    made: list[Judge] = []

    def make(verdict: Verdict) -> Judge:
        made.append(Judge(verdict))
        return made[-1]

    yield make
    for judge in made:
        judge.close()


@pytest.fixture
async def start(
    write_model: WriteModel, options: EngineOptions, judges: Callable[[Verdict], Judge]
) -> AsyncIterator[Start]:
    """Serve one model with a verdict."""
    opened: list[Served] = []

    async def start(
        content: bytes,
        verdict: Verdict = "unknown",
        options: EngineOptions = options,
        **metadata: Any,
    ) -> Served:
        path = write_model(content, **metadata)
        served = Served(path, options, lambda: 0.0, judges(verdict))
        opened.append(served)
        await served.repository.reload()
        return served

    yield start
    for served in opened:
        await served.repository.aclose()


async def share(served: Served, *rows: Any) -> list[Any]:
    """Ask for several at once; give the predictions, and let a check end."""
    results, _ = await served.ask_batch([{"data": each} for each in rows])
    await checked(served.repository.get(None))
    return [result["predictions"] for result in results]


async def checked(model: Model) -> None:
    """Wait until no lane is busy."""
    await until(lambda: model.pool.statistics().num_busy == 0)


def fresh(count: int) -> list[Any]:
    """Rows that nobody has asked for."""
    return [[[float(value), value / 8, 0.5]] for value in range(100, 100 + count)]


async def gain_trust(served: Served) -> None:
    """Share runs until the first rows have passed."""
    proof = served.repository.get(None).proof
    assert proof is not None
    for value in range(FIRST_ROWS // 2):
        assert not proof.trusted
        await share(served, [[float(value), 0.1, 0.2]], [[float(value), 0.3, 0.4]])
    assert proof.trusted


# A difference.


async def test_a_wrong_answer_is_found_no_more(start: Start) -> None:
    """After a check has shown that neighbours matter, what they have spoilt is computed anew."""
    served = await start(minding_model())
    model = served.repository.get(None)
    spoilt = await share(served, HUGE_ROW, ROW)

    reply = await served.ask(ROW)

    assert spoilt[1] == TRIPLED
    assert reply.answer["predictions"] == DOUBLED
    assert reply.timings.cache_state == "miss"
    assert model.disproof == "output y: rows run together differ from rows run apart"
    assert (await share(served, HUGE_ROW, [[4.0, 4.0, 4.0]]))[1] == [[8.0, 8.0, 8.0]]


async def test_a_model_run_in_lanes_is_found_out(start: Start, pool_mode: EngineOptions) -> None:
    """Checks take a lane when it is idle, also where all runs do."""
    served = await start(minding_model(), options=pool_mode)
    await share(served, HUGE_ROW, ROW)

    assert (await served.ask(ROW)).answer["predictions"] == DOUBLED
    assert served.repository.get(None).disproof


async def test_the_answer_is_kept_anew(start: Start) -> None:
    """Lone runs are cached after a disproof, as before."""
    served = await start(minding_model())
    await share(served, HUGE_ROW, ROW)
    await served.ask(ROW)

    reply = await served.ask(ROW)

    assert reply.timings.cache_state == "l1"
    assert reply.answer["predictions"] == DOUBLED


async def test_a_reload_of_the_same_file_remembers(start: Start) -> None:
    """What was found is of the file, not of the moment."""
    served = await start(minding_model())
    await share(served, HUGE_ROW, ROW)
    found = served.repository.get(None)

    await served.repository.reload()

    model = served.repository.get(None)
    assert model is not found
    assert (model.disproof, model.identity) == (found.disproof, found.identity)
    assert (await share(served, HUGE_ROW, ROW))[1] == DOUBLED


async def test_a_changed_file_starts_anew(start: Start, write_model: WriteModel) -> None:
    """Another model is not judged by the one before."""
    served = await start(minding_model())
    await share(served, HUGE_ROW, ROW)
    write_model(scale_model())

    await served.repository.reload()

    model = served.repository.get(None)
    assert (model.disproof, model.batching_reason) == ("", None)
    await share(served, *fresh(3))
    assert served.batches[-1].num_requests == 3


async def test_a_model_of_which_the_graph_shows_it_is_not_checked(start: Start) -> None:
    """Independent models pay nothing, and huge neighbours are none of their business."""
    served = await start(minding_model(), "independent")

    await share(served, HUGE_ROW, ROW)

    assert served.repository.get(None).proof is None
    assert served.repository.get(None).disproof == ""


def halves_model() -> bytes:
    """Each row as two, float32 `[B, 4]` → `[2 B, 2]`."""
    return graph(
        [node("Reshape", ["x", "pairs"], ["y"])],
        [tensor("x", "float32", [None, 4])],
        [tensor("y", "float32", [None, 2])],
        pairs=np.array([-1, 2], np.int64),
    )


def few_rows_model(most: int) -> bytes:
    """`y = x`, but no more rows than so many."""
    return graph(
        [node("Slice", ["x", "first", "most", "axis"], ["y"])],
        [tensor("x", "float32", [None, 3])],
        [tensor("y", "float32", [None, 3])],
        first=np.array([0], np.int64),
        most=np.array([most], np.int64),
        axis=np.array([0], np.int64),
    )


def finding_model(operator: str, limit: float) -> bytes:
    """The rows whose first value is `Less` or `Greater`, float32 `[B, 3]` → `[0 … B, 3]`."""
    return graph(
        [
            node("Gather", ["x", "zero"], ["scores"], axis=1),
            node(operator, ["scores", "limit"], ["found"]),
            node("Compress", ["x", "found"], ["boxes"], axis=0),
        ],
        [tensor("x", "float32", [None, 3])],
        [tensor("boxes", "float32", [None, 3])],
        zero=np.array(0, np.int64),
        limit=np.array(limit, np.float32),
    )


async def test_a_single_run_may_give_more_rows_than_it_got(start: Start) -> None:
    """It is answered as ONNX Runtime gives it."""
    served = await start(halves_model())

    reply = await served.ask([[1.0, 2.0, 3.0, 4.0]])

    assert reply.answer["predictions"] == [[1.0, 2.0], [3.0, 4.0]]


async def test_a_single_run_may_give_fewer_rows_than_it_got(start: Start) -> None:
    """However many it got."""
    served = await start(few_rows_model(1500))

    reply = await served.ask([[float(value)] * 3 for value in range(3000)])

    assert len(reply.answer["predictions"]) == 1500


@pytest.mark.parametrize("metadata", [{}, {"class_names": ["a", "b", "c"]}])
async def test_a_detector_that_finds_nothing_is_answered(
    start: Start, metadata: dict[str, Any]
) -> None:
    """Its lists are empty, and a request beside it has its own."""
    served = await start(finding_model("Greater", 0.0), sample=[[1.0, 2.0, 3.0]], **metadata)

    reply = await served.ask([[-1.0, 1.0, 1.0]])
    results, _ = await served.ask_batch([{"data": [[-2.0, 1.0, 1.0]]}, {"data": ROW}])

    assert reply.answer["predictions"] == []
    assert [len(result["predictions"]) for result in results] == [0, 1]


async def test_words_of_no_rows_are_answered(start: Start) -> None:
    """Labels that are words, and none of them."""
    served = await start(
        graph(
            [
                node("Gather", ["x", "zero"], ["first"], axis=1),
                node("Equal", ["first", "wanted"], ["found"]),
                node("Compress", ["first", "found"], ["label"], axis=0),
                node("Compress", ["numbers", "found"], ["scores"], axis=0),
            ],
            [tensor("x", "str", [None, 2])],
            [tensor("label", "str", [None]), tensor("scores", "float32", [None, 2])],
            zero=np.array(0, np.int64),
            wanted=np.array("a", object),
            numbers=np.ones((1, 2), np.float32),
        ),
        sample=[["a", "b"]],
        model_type="classifier",
    )

    assert (await served.ask([["b", "a"]])).answer["predictions"] == []
    assert (await served.ask([["a", "a"]])).answer["predictions"] == ["a"]


def uneven_model() -> bytes:
    """Labels of the positive rows, `[0 … B]`, beside scores of all of them, `[B, 3]`."""
    return graph(
        [
            node("Gather", ["x", "zero"], ["first"], axis=1),
            node("Greater", ["first", "limit"], ["found"]),
            node("Cast", ["first"], ["whole"], to=TensorProto.INT64),
            node("Compress", ["whole", "found"], ["label"], axis=0),
            node("Identity", ["x"], ["scores"]),
        ],
        [tensor("x", "float32", [None, 3])],
        [tensor("label", "int64", [None]), tensor("scores", "float32", [None, 3])],
        zero=np.array(0, np.int64),
        limit=np.array(0, np.float32),
    )


async def test_outputs_that_make_no_answer_harm_no_other_member(start: Start) -> None:
    """Whatever becomes of the member that they belong to."""
    served = await start(
        uneven_model(),
        sample=[[1.0, 2.0, 3.0]],
        class_names=["a", "b", "c"],
        output_classes=[1, 2, 3],
    )

    results, _ = await served.ask_batch(
        [{"data": [[9.0, 1.0, 1.0], [-9.0, 1.0, 1.0]]}, {"data": [[1.0, 2.0, 3.0]]}]
    )

    assert results[1]["predictions"] == [1]


async def test_a_shared_run_that_loses_rows_harms_nobody(start: Start) -> None:
    """Its requests are run alone, and the model from then on."""
    served = await start(finding_model("Less", HUGE), "independent")

    results = await share(served, HUGE_ROW, ROW)

    assert results == [[], ROW]
    assert served.repository.get(None).disproof == (
        "output boxes: expected 2 rows, found shape (1, 3)"
    )
    assert await share(served, HUGE_ROW, [[4.0, 5.0, 6.0]]) == [[], [[4.0, 5.0, 6.0]]]


async def test_large_requests_of_unknown_models_run_whole(
    start: Start, options: EngineOptions
) -> None:
    """Only where the graph shows that rows stay apart are they split."""
    narrow = with_batch(options, max_batch_size=4)
    rows = [row[0] for row in fresh(10)]
    whole, split = [
        await start(scale_model(), verdict, narrow) for verdict in ("unknown", "independent")
    ]

    for served in (whole, split):
        assert np.allclose((await served.ask(rows)).predictions, 2 * np.array(rows))

    assert [record.num_rows for record in whole.batches] == [10]
    assert [record.num_rows for record in split.batches] == [4, 4, 2]


# Models that are batched although their rows depend on each other.


async def test_accepted_answers_are_kept_nowhere(start: Start) -> None:
    """A shared run's answer is for those who asked; a single run's is cached."""
    served = await start(mean_model(), "coupled", batching="accept")

    await share(served, ROW, [[4.0, 4.0, 4.0]])
    alone = [await served.ask(ROW), await served.ask(ROW)]

    assert served.batches[0].num_requests == 2
    assert [reply.timings.cache_state for reply in alone] == ["miss", "l1"]
    assert [reply.answer["predictions"] for reply in alone] == [[[0.0, 0.0, 0.0]]] * 2
    assert served.repository.get(None).disproof == ""


async def test_an_accepted_run_is_shared_by_who_asks_the_same_meanwhile(start: Start) -> None:
    """And by nobody after it."""
    served = await start(mean_model(), "coupled", batching="accept")

    replies = await asyncio.gather(served.ask(ROW), served.ask([[4.0, 4.0, 4.0]]), served.ask(ROW))

    assert [reply.timings.cache_state for reply in replies] == ["miss", "miss", "coalesced"]
    assert (await served.ask(ROW)).timings.cache_state == "miss"


async def test_accepting_does_not_make_rows_of_what_is_none(start: Start) -> None:
    """Outputs that do not follow the rows cannot be handed out, whatever the owner says."""
    served = await start(halves_model(), "coupled", batching="accept")

    assert served.repository.get(None).batching_reason is not None
    assert await share(served, [[1.0, 2.0, 3.0, 4.0]], [[5.0, 6.0, 7.0, 8.0]]) == [
        [[1.0, 2.0], [3.0, 4.0]],
        [[5.0, 6.0], [7.0, 8.0]],
    ]


# Redis.


@pytest.fixture
async def tier() -> AsyncIterator[RedisTier]:
    """A Redis of its own, empty."""
    with RedisServer() as server:
        tier = RedisTier(server.url)
        await tier.start()
        yield tier
        await tier.cache.aclose()


def join(served: Served, tier: RedisTier) -> None:
    """Put Redis behind a memory that is empty, as after a restart."""
    served.join(
        TieredCache(MemoryCache(2**20), tier.cache),
        default_ttl_seconds=600,
        max_ttl_seconds=600,
    )


async def states(served: Served, tier: RedisTier, *rows: Any) -> list[str]:
    """Where answers come from after a restart, once stores have arrived."""
    await until(lambda: tier.waiting == (0, 0))
    join(served, tier)
    return [(await served.ask(row)).timings.cache_state for row in rows]


async def test_unproven_answers_stay_in_this_process(start: Start, tier: RedisTier) -> None:
    """Before the first rows have passed Redis gets none of a shared run, but those of lone ones."""
    served = await start(scale_model())
    join(served, tier)
    one, two, alone = fresh(3)
    await share(served, one, two)
    await served.ask(alone)
    near = [(await served.ask(row)).timings.cache_state for row in (one, two, alone)]

    far = await states(served, tier, one, alone)

    assert near == ["l1", "l1", "l1"]
    assert far == ["miss", "redis"]


async def test_proven_answers_are_for_all(start: Start, tier: RedisTier) -> None:
    """Once the first rows have passed shared runs are stored in Redis, too."""
    served = await start(scale_model())
    await gain_trust(served)
    join(served, tier)
    one, two = fresh(2)
    await share(served, one, two)

    assert await states(served, tier, one, two) == ["redis", "redis"]


async def test_a_disproof_leaves_nothing_in_redis(start: Start, tier: RedisTier) -> None:
    """What shared runs stored there is found no more, after trust that was given too early."""
    served = await start(minding_model())
    model = served.repository.get(None)
    await gain_trust(served)
    join(served, tier)
    assert (await share(served, HUGE_ROW, ROW))[1] == TRIPLED
    assert await states(served, tier, ROW) == ["redis"]

    model.batcher.disprove("output y: of a check")

    assert await states(served, tier, ROW) == ["miss"]
    assert (await served.ask(ROW)).answer["predictions"] == DOUBLED


async def test_accepted_answers_are_not_kept_in_redis(start: Start, tier: RedisTier) -> None:
    """A lone run's are."""
    served = await start(mean_model(), "coupled", batching="accept")
    join(served, tier)
    one, two, alone = fresh(3)
    await share(served, one, two)
    await served.ask(alone)

    assert await states(served, tier, one, alone) == ["miss", "redis"]
