"""Small costs that comments and the README quote: keys, metrics, cache entries, round trips.

Microseconds are the quickest of seven timings; bytes are tracemalloc's.
"""

from __future__ import annotations

import asyncio
import os
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from timeit import Timer
from typing import Any

import msgspec
import numpy as np
from prometheus_client import CollectorRegistry, Counter
from prometheus_client import Histogram as LibraryHistogram

from bench import redis_costs
from ml_pipeline.cache.base import CacheStatistics, LookupBudget
from ml_pipeline.cache.envelope import seal, unseal
from ml_pipeline.cache.memory import MemoryCache
from ml_pipeline.engine.wire.cache_key import cache_key
from ml_pipeline.engine.wire.duplicate_keys import refuse_json_duplicates
from ml_pipeline.engine.wire.json_numbers import Text, read_numbers
from ml_pipeline.engine.wire.json_pieces import VALUES_A_PIECE, write_lists
from ml_pipeline.engine.wire.turns import Steps, at_once
from ml_pipeline.observe.collector import Metrics, ModelSample
from ml_pipeline.observe.exposition import expose
from ml_pipeline.observe.histogram import SECONDS, Histogram

ENTRIES, VALUE_BYTES = 100_000, 200
ROW = b'{"data":[[13.2,1.78,2.14,11.2,100.0,2.65,2.76,0.26,1.28,4.38]],"use_cache":false}'

BUDGET = LookupBudget(b"application/json", "model", 0.0, 60.0)


def main() -> None:
    """Measure and print."""
    print("| what | cost |\n|---|---:|")
    for rows in (1, 1_000, 15_000):
        inputs: dict[str, Any] = {"x": np.ones((rows, 10), np.float32)}
        key = _microseconds(partial(cache_key, b"i" * 32, inputs, b"JSON"))
        print(f"| cache key, {rows * 40:,} bytes | {key:.1f} µs |")
    registry = CollectorRegistry()
    counter = Counter("c", "c", ["a"], registry=registry).labels("x")
    library = LibraryHistogram("h", "h", ["a"], buckets=SECONDS, registry=registry).labels("x")
    ours = Histogram(SECONDS)
    cache = _filled()
    print(f"| histogram, ours | {_microseconds(lambda: ours.observe(0.0015)):.2f} µs |")
    print(f"| histogram, library | {_microseconds(lambda: library.observe(0.0015)):.2f} µs |")
    print(f"| counter, library | {_microseconds(counter.inc):.2f} µs |")
    print(f"| scrape of one model and five routes | {_scrape_microseconds():.0f} µs |")
    known = (7).to_bytes(32, "big")
    print(f"| look-up in the cache | {_microseconds(lambda: cache.peek(known)):.2f} µs |")
    repeats = _microseconds(lambda: refuse_json_duplicates(ROW, True))
    print(f"| repeated keys of a row | {repeats:.2f} µs |")
    sealed = seal(known, b"x" * 300, b"application/json", 2**31, 60)
    opened = _microseconds(lambda: unseal(known, sealed, b"application/json"))
    print(f"| value of 300 bytes out of its envelope | {opened:.2f} µs |")
    for what, call, size in _readers():
        print(f"| {what} | {_microseconds(call) * 1e3 / size:.1f} ns a byte |")
    values = np.random.default_rng(1).uniform(size=VALUES_A_PIECE)
    written = _microseconds(lambda: at_once(write_lists(values))) * 1e3 / len(values)
    print(f"| a number written as JSON | {written:.0f} ns |")
    print(f"| cache entry beside its value | {_entry_bytes():.0f} bytes |")
    for what, cost in redis_costs.rows():
        print(f"| {what} | {cost} |")


def _readers() -> Iterator[tuple[str, Callable[[], object], int]]:
    """What the bounds of `large_rows.py` and its like are reckoned from: kind, call and bytes."""
    rows = np.random.default_rng(1).uniform(size=(4_000, 10)).tolist()
    for what, data in (("rows of ten", rows), ("rows of one 1", [[1]] * 30_000)):
        body = msgspec.json.encode(data)
        text, packed = Text(body, 0, len(body)), msgspec.msgpack.encode(data)
        numbers = partial(read_numbers, text, np.dtype(np.float32), None, "data")
        lists = list[list[float]]
        yield f"{what} in JSON, at once", partial(_to_array, msgspec.json, body, lists), len(body)
        yield f"{what} in JSON, in pieces", partial(_in_pieces, numbers), len(body)
        yield (
            f"{what} in MessagePack",
            partial(_to_array, msgspec.msgpack, packed, lists),
            len(packed),
        )
    for what, words in (("a string of 100 kB", ["a" * 100_000]), ("empty strings", [""] * 30_000)):
        body = msgspec.json.encode(words)
        yield f"{what} in JSON", partial(msgspec.json.decode, body, type=list[str]), len(body)


def _to_array(language: Any, body: bytes, kind: Any) -> object:
    return np.asarray(language.decode(body, type=kind), np.float32)


def _in_pieces(make: Callable[[], Steps[Any]]) -> object:
    return at_once(make())


def _microseconds(call: Callable[[], object]) -> float:
    timer = Timer(call)
    number, _ = timer.autorange()
    return min(timer.repeat(7, number)) / number * 1e6


def _scrape_microseconds() -> float:
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
        return _microseconds(lambda: runner.run(expose(metrics)))


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


if __name__ == "__main__":
    main()
