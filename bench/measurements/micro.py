"""Small costs that comments and the README quote: keys, metrics, cache entries, round trips.

Microseconds are the quickest of the rounds; bytes are tracemalloc's.
"""

from __future__ import annotations

import asyncio
import os
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from timeit import Timer
from typing import Any

import msgspec
import numpy as np
from prometheus_client import CollectorRegistry, Counter
from prometheus_client import Histogram as LibraryHistogram

from bench import redis_costs
from bench.run import Run
from ml_pipeline.cache.base import CacheStatistics, LookupBudget
from ml_pipeline.cache.envelope import seal, unseal
from ml_pipeline.cache.memory import MemoryCache
from ml_pipeline.engine.wire.cache_key import cache_key
from ml_pipeline.engine.wire.duplicate_keys import refuse_json_duplicates
from ml_pipeline.engine.wire.json_numbers import Text, read_numbers
from ml_pipeline.engine.wire.json_pieces import VALUES_A_PIECE, write_lists
from ml_pipeline.engine.wire.turns import at_once
from ml_pipeline.observe.collector import Metrics, ModelSample
from ml_pipeline.observe.exposition import expose
from ml_pipeline.observe.histogram import SECONDS as BUCKETS
from ml_pipeline.observe.histogram import Histogram

ROUNDS, SECONDS = 7, 0
ENTRIES, VALUE_BYTES = 100_000, 200
ROW = b'{"data":[[13.2,1.78,2.14,11.2,100.0,2.65,2.76,0.26,1.28,4.38]],"use_cache":false}'
BUDGET = LookupBudget(b"application/json", "model", 0.0, 60.0)
Cost = tuple[str, Callable[[], object], float, str]
"""What, how it is done, how many of the unit that does, and the unit's name: µs, or ns of each."""


def measure(run: Run) -> None:
    """Time everything and report."""
    rows = []
    for what, call, size, unit in chain(_keys(), _metrics(), _cached(), _readers()):
        seconds = _seconds(call, run.options.rounds)
        cost = f"{seconds * 1e6:.2f} µs" if not size else f"{seconds * 1e9 / size:.1f} ns {unit}"
        rows.append((what, cost))
    rows.append(("cache entry beside its value", f"{_entry_bytes():.0f} bytes"))
    run.table(("what", "cost"), [*rows, *redis_costs.rows(run.options.rounds)])


def _keys() -> Iterator[Cost]:
    for rows in (1, 1_000, 15_000):
        inputs: dict[str, Any] = {"x": np.ones((rows, 10), np.float32)}
        call = partial(cache_key, b"i" * 32, inputs, b"JSON")
        yield f"cache key, {rows * 40:,} bytes", call, 0, ""
    yield "repeated keys of a row", lambda: refuse_json_duplicates(ROW, True), 0, ""


def _metrics() -> Iterator[Cost]:
    registry = CollectorRegistry()
    counter = Counter("c", "c", ["a"], registry=registry).labels("x")
    library = LibraryHistogram("h", "h", ["a"], buckets=BUCKETS, registry=registry).labels("x")
    ours = Histogram(BUCKETS)
    yield "histogram, ours", lambda: ours.observe(0.0015), 0, ""
    yield "histogram, library", lambda: library.observe(0.0015), 0, ""
    yield "counter, library", counter.inc, 0, ""
    metrics = Metrics(
        "replica",
        ("/predict", "/predict/batch"),
        scrape_models=lambda: [ModelSample("wine", "1", "0" * 64, 0.1, 0)],
        scrape_cache=lambda: CacheStatistics(1, 1, 1),
        scrape_redis=lambda: None,
        scrape_behind=lambda: False,
    )
    for endpoint in ("/health", "/metrics", "/models"):
        metrics.observe_request("GET", endpoint, 200, 0.001)
    with asyncio.Runner() as runner:
        yield "scrape of one model and five routes", lambda: runner.run(expose(metrics)), 0, ""


def _cached() -> Iterator[Cost]:
    cache, known = _filled(), (7).to_bytes(32, "big")
    yield "look-up in the cache", lambda: cache.peek(known), 0, ""
    sealed = seal(known, b"x" * 300, b"application/json", 2**31, 60)
    what = "value of 300 bytes out of its envelope"
    yield what, lambda: unseal(known, sealed, b"application/json"), 0, ""


def _readers() -> Iterator[Cost]:
    """What the bounds of `large_rows.py` and its like are reckoned from."""
    lists, unit = list[list[float]], "a byte"
    rows = np.random.default_rng(1).uniform(size=(4_000, 10)).tolist()
    for what, data in (("rows of ten", rows), ("rows of one 1", [[1]] * 30_000)):
        body, packed = msgspec.json.encode(data), msgspec.msgpack.encode(data)
        read = partial(read_numbers, Text(body, 0, len(body)), np.dtype(np.float32), None, "data")
        at_one_time = partial(_to_array, msgspec.json, body, lists)
        yield f"{what} in JSON, at once", at_one_time, len(body), unit
        yield f"{what} in JSON, in pieces", lambda read=read: at_once(read()), len(body), unit  # type: ignore[misc]
        unpack = partial(_to_array, msgspec.msgpack, packed, lists)
        yield f"{what} in MessagePack", unpack, len(packed), unit
    for what, words in (("a string of 100 kB", ["a" * 100_000]), ("empty strings", [""] * 30_000)):
        body = msgspec.json.encode(words)
        decode = partial(msgspec.json.decode, body, type=list[str])
        yield f"{what} in JSON", decode, len(body), unit
    values = np.random.default_rng(1).uniform(size=VALUES_A_PIECE)
    yield "written as JSON", lambda: at_once(write_lists(values)), len(values), "a number"


def _to_array(language: Any, body: bytes, kind: Any) -> object:
    return np.asarray(language.decode(body, type=kind), np.float32)


def _seconds(call: Callable[[], object], rounds: int) -> float:
    timer = Timer(call)
    number, _ = timer.autorange()
    return min(timer.repeat(rounds, number)) / number


def _filled() -> MemoryCache:
    cache = MemoryCache(2**30)
    for number in range(ENTRIES):
        cache.put(number.to_bytes(32, "big"), os.urandom(VALUE_BYTES), 3600.0, BUDGET)
    return cache


def _entry_bytes() -> float:
    tracemalloc.start()
    cache = _filled()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / cache.statistics().num_entries - VALUE_BYTES
