"""Every Prometheus metric: name, unit, buckets, labels.

Counting is plain Python (a dict entry, a bisected list): 0.15 µs an observation where those of
`prometheus_client` cost 0.3 to 0.75 (`bench/micro`); their text form is made from these numbers by
`prometheus_client` when somebody asks. One process a replica, one event loop: no locks.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from app import __version__
from app.errors import InferenceError

SECONDS = (
    0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05,
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
)  # fmt: skip
"""Buckets of request and queue times: 100 µs, about where a cached answer lies, to 30 s."""

RUN_SECONDS = (0.00001, 0.00002, 0.00005, *SECONDS)
"""Buckets of run times: from 10 µs, what the smallest models take."""

ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
"""Buckets of batch sizes, in rows."""

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
"""Methods that are a label value; what clients invent is counted as `OTHER`."""

CACHE_RESULTS = ("l1", "redis", "coalesced", "miss", "bypass")
BREAKER_STATES = ("closed", "open", "half_open")


class RedisCounts(NamedTuple):
    """What is asked of the Redis tier at a scrape.

    Attributes:
        state: One of `BREAKER_STATES`.
        num_keys_by_result: Look-ups.
        num_failures_by_kind: Round trips and connections that failed.
        num_dropped: Stores that were not made.
    """

    state: str
    num_keys_by_result: Mapping[str, int]
    num_failures_by_kind: Mapping[str, int]
    num_dropped: int


class Histogram:
    """Counts by bucket, and the sum."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def buckets(self) -> tuple[list[tuple[str, float]], float]:
        """Give cumulative counts by upper bound as Prometheus wants them, and the sum."""
        total, cumulative = 0, []
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            total += count
            cumulative.append((_le(bound), float(total)))
        return cumulative, self._sum


class Metrics(Collector):
    """All counters of the process. Event loop only.

    What can be known beforehand is there from the start, as zero: where a counter appears with its
    first event, `rate()` does not see that event.

    Args:
        replica: A name that no other replica has, for who asks one of them through a balancer.
        endpoints: Routes that are answered by POST.
        scrape_models: Asked at each scrape: name, version, digest, load seconds and waiting rows
            of each loaded model.
        scrape_cache: Asked at each scrape: entries, bytes and evictions of the L1 cache.
        scrape_redis: Asked at each scrape; None where there is none.
        scrape_behind: Asked at each scrape: whether other models were announced than are served.
    """

    def __init__(
        self,
        replica: str,
        endpoints: Iterable[str],
        *,
        scrape_models: Callable[[], Iterable[tuple[str, str, str, float, int]]],
        scrape_cache: Callable[[], tuple[int, int, int]],
        scrape_redis: Callable[[], RedisCounts | None],
        scrape_behind: Callable[[], bool],
    ) -> None:
        self._replica = replica
        self._scrape_models = scrape_models
        self._scrape_cache = scrape_cache
        self._scrape_redis = scrape_redis
        self._scrape_behind = scrape_behind
        self._requests: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self._durations: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(SECONDS))
        self._rows: defaultdict[str, int] = defaultdict(int)
        self._cache_results: defaultdict[str, int] = defaultdict(int)
        self._refused: defaultdict[str, int] = defaultdict(int)
        self._queue: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(SECONDS))
        self._runs: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(RUN_SECONDS))
        self._batches: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(ROWS))
        self._round_trips: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(SECONDS))
        self._begin_at_zero(endpoints)
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def _begin_at_zero(self, endpoints: Iterable[str]) -> None:
        errors = InferenceError.__subclasses__()
        for endpoint in endpoints:
            for status in {200, InferenceError.status, *(error.status for error in errors)}:
                self._requests["POST", endpoint, status] = 0
            self._durations[endpoint] = Histogram(SECONDS)
        for result in CACHE_RESULTS:
            self._cache_results[result] = 0
        for error in errors:
            self._refused[error.code] = 0

    def observe_request(self, method: str, endpoint: str, status: int, seconds: float) -> None:
        """Count a finished request; `endpoint` is its route template."""
        if method not in METHODS:
            method = "OTHER"
        self._requests[method, endpoint, status] += 1
        self._durations[endpoint].observe(seconds)

    def observe_prediction(
        self, model: str, num_rows: int, cache_state: str, queue_seconds: float
    ) -> None:
        """Count an answered prediction, from the cache or not."""
        self._rows[model] += num_rows
        self._cache_results[cache_state] += 1
        if cache_state in ("miss", "bypass"):
            self._queue[model].observe(queue_seconds)

    def observe_batch(self, model: str, num_rows: int, run_seconds: float) -> None:
        """Count a run."""
        self._batches[model].observe(num_rows)
        self._runs[model].observe(run_seconds)

    def observe_refused(self, reason: str) -> None:
        """Count a request that was refused; `reason` is the code of its error."""
        self._refused[reason] += 1

    def observe_round_trip(self, operation: str, seconds: float) -> None:
        """Count a round trip to Redis, `read` or `write`, answered or not."""
        self._round_trips[operation].observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """Give every family; called by the registry at a scrape."""
        models = list(self._scrape_models())
        for model, *_ in models:  # looked up, so that they are there: zero at first
            _ = self._rows[model], self._queue[model], self._runs[model], self._batches[model]
        info = GaugeMetricFamily("ml_api_info", "Always 1.", labels=["replica", "version"])
        info.add_metric([self._replica, __version__], 1)
        yield info
        yield self._request_counter()
        yield _histograms(
            "ml_api_request_duration_seconds",
            "From the arrival of a request's head to its answer handed to the HTTP server.",
            "endpoint",
            self._durations,
        )
        yield _counter("ml_api_predictions", "Rows answered, cached or run.", "model", self._rows)
        yield _counter(
            "ml_api_cache_requests", "Cache look-ups by result.", "result", self._cache_results
        )
        yield _counter("ml_api_refused", "Requests refused by reason.", "reason", self._refused)
        yield _histograms(
            "ml_api_queue_seconds",
            "From a request's arrival in the queue to the start of its run.",
            "model",
            self._queue,
        )
        yield _histograms("ml_api_run_seconds", "One run of the model.", "model", self._runs)
        yield _histograms("ml_api_batch_rows", "Rows in one run.", "model", self._batches)
        yield from _model_gauges(models)
        yield from self._cache_gauges()
        yield GaugeMetricFamily(
            "ml_api_reload_behind",
            "1 while this replica serves other models than another announced.",
            float(self._scrape_behind()),
        )
        if (counts := self._scrape_redis()) is not None:
            yield from self._redis_families(counts)

    def _request_counter(self) -> Metric:
        family = CounterMetricFamily(
            "ml_api_requests", "Finished requests.", labels=["method", "endpoint", "status"]
        )
        for (method, endpoint, status), count in self._requests.items():
            family.add_metric([method, endpoint, str(status)], count)
        return family

    def _cache_gauges(self) -> Iterator[Metric]:
        num_entries, num_bytes, num_evicted = self._scrape_cache()
        yield GaugeMetricFamily("ml_api_cache_entries", "Answers in the L1 cache.", num_entries)
        yield GaugeMetricFamily("ml_api_cache_bytes", "Memory of the L1 cache.", num_bytes)
        yield CounterMetricFamily(
            "ml_api_cache_evictions", "Answers that made room for others.", num_evicted
        )

    def _redis_families(self, counts: RedisCounts) -> Iterator[Metric]:
        state = GaugeMetricFamily(
            "ml_api_redis_state", "1 for the state of the circuit breaker.", labels=["state"]
        )
        for name in BREAKER_STATES:
            state.add_metric([name], float(name == counts.state))
        yield state
        yield _counter(
            "ml_api_redis_lookups", "Keys by result.", "result", counts.num_keys_by_result
        )
        yield _counter(
            "ml_api_redis_failures", "Failures by kind.", "kind", counts.num_failures_by_kind
        )
        yield CounterMetricFamily(
            "ml_api_redis_dropped_writes", "Answers that were not stored.", counts.num_dropped
        )
        yield _histograms(
            "ml_api_redis_seconds",
            "One round trip, which carries many look-ups or stores.",
            "operation",
            self._round_trips,
        )


def _model_gauges(models: Iterable[tuple[str, str, str, float, int]]) -> Iterator[Metric]:
    info = GaugeMetricFamily(
        "ml_api_model_info", "Always 1.", labels=["model", "version", "digest"]
    )
    load = GaugeMetricFamily(
        "ml_api_model_load_seconds", "Opening the file to ready.", labels=["model"]
    )
    depth = GaugeMetricFamily(
        "ml_api_queue_depth_rows", "Rows that wait for a run.", labels=["model"]
    )
    for model, version, digest, load_seconds, waiting in models:
        info.add_metric([model, version, digest[:12]], 1)
        load.add_metric([model], load_seconds)
        depth.add_metric([model], waiting)
    yield from (info, load, depth)


def _le(bound: float) -> str:
    return str(floatToGoString(bound))  # type: ignore[no-untyped-call]


def _counter(name: str, help_text: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, help_text, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family


def _histograms(name: str, help_text: str, label: str, histograms: dict[str, Histogram]) -> Metric:
    family = HistogramMetricFamily(name, help_text, labels=[label])
    for value, histogram in histograms.items():
        buckets, total = histogram.buckets()
        family.add_metric([value], buckets, total)
    return family
