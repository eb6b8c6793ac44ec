"""What is counted, and each Prometheus metric that is there once: name, unit, buckets, labels.

Counting is plain Python; the text form is made from these numbers when somebody asks, that of the
metrics that each model has in `exposition.py`.
"""

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

from ml_pipeline import __version__
from ml_pipeline.cache.base import CacheStatistics, RedisStatistics
from ml_pipeline.errors import InferenceError
from ml_pipeline.observe.histogram import SECONDS, Histogram
from ml_pipeline.observe.model_counts import ModelCounts, ModelLedger, ModelVersion
from ml_pipeline.protocols.timings import Timings

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
"""Methods that are a label value; what clients invent is counted as `OTHER`."""

CACHE_RESULTS = ("l1", "redis", "coalesced", "miss", "bypass")
BREAKER_STATES = ("closed", "open", "half_open")


class ModelSample(NamedTuple):
    """What is asked of a loaded model at a scrape.

    Attributes:
        name: On the wire.
        version: Likewise.
        digest: Of its files.
        load_seconds: From opening the file to ready.
        num_waiting: Rows that wait for a run.
        disproved: Whether its rows were found not to stay apart in service.
    """

    name: str
    version: str
    digest: str
    load_seconds: float
    num_waiting: int
    disproved: bool = False


class Metrics(Collector):
    """All counters of the process. Event loop only.

    What can be known beforehand is there from the start, as zero: where a counter appears with its
    first event, `rate()` does not see that event.

    Args:
        replica: A name that no other replica has, for who asks one of them through a balancer.
        endpoints: Routes that are answered by POST.
        scrape_models: Asked at each scrape.
        scrape_cache: Asked at each scrape: of the L1 cache.
        scrape_redis: Asked at each scrape; None where there is none.
        scrape_behind: Asked at each scrape: whether other models were announced than are served.
    """

    def __init__(
        self,
        replica: str,
        endpoints: Iterable[str],
        *,
        scrape_models: Callable[[], Iterable[ModelSample]],
        scrape_cache: Callable[[], CacheStatistics],
        scrape_redis: Callable[[], RedisStatistics | None],
        scrape_behind: Callable[[], bool],
    ) -> None:
        self._replica = replica
        self._scrape_models = scrape_models
        self._scrape_cache = scrape_cache
        self._scrape_redis = scrape_redis
        self._scrape_behind = scrape_behind
        self._requests: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self._durations: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(SECONDS))
        self._cache_results: defaultdict[str, int] = defaultdict(int)
        self._refused: defaultdict[str, int] = defaultdict(int)
        self.models = ModelLedger()
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

    def observe_answer(self, timings: Timings, seconds: float) -> None:
        """Count an answered prediction, from the cache or not, and its seconds in all."""
        counts = self.models.of(timings.model_name, timings.model_version)
        counts.observe_answer(timings, seconds)
        self._cache_results[timings.cache_state] += 1

    def observe_failure(self, timings: Timings, seconds: float) -> None:
        """Count a prediction without an answer, if a model was found for it."""
        if timings.model_name:
            self.models.of(timings.model_name, timings.model_version).observe_failure(seconds)

    def observe_batch(self, model: str, version: str, num_rows: int, run_seconds: float) -> None:
        """Count a run."""
        self.models.of(model, version).observe_run(num_rows, run_seconds)

    def observe_refused(self, reason: str) -> None:
        """Count a request that was refused; `reason` is the code of its error."""
        self._refused[reason] += 1

    def observe_round_trip(self, operation: str, seconds: float) -> None:
        """Count a round trip to Redis, `read` or `write`, answered or not."""
        self._round_trips[operation].observe(seconds)

    def scrape_models(
        self,
    ) -> tuple[list[ModelSample], list[tuple[ModelVersion, ModelCounts]]]:
        """Give what is loaded, and the counts of that and of what was."""
        loaded = list(self._scrape_models())
        self.models.forget((each.name, each.version) for each in loaded)
        for each in loaded:  # looked up, so that they are there: zero at first
            self.models.of(each.name, each.version)
        return loaded, list(self.models)

    def collect(self) -> Iterator[Metric]:
        """Give every family but those of models; called by the registry at a scrape."""
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
        yield _counter(
            "ml_api_cache_requests", "Cache look-ups by result.", "result", self._cache_results
        )
        yield _counter("ml_api_refused", "Requests refused by reason.", "reason", self._refused)
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
        held = self._scrape_cache()
        yield GaugeMetricFamily(
            "ml_api_cache_entries", "Answers in the L1 cache.", held.num_entries
        )
        yield GaugeMetricFamily("ml_api_cache_bytes", "Memory of the L1 cache.", held.num_bytes)
        yield CounterMetricFamily(
            "ml_api_cache_evictions", "Answers that made room for others.", held.num_evicted
        )

    def _redis_families(self, counts: RedisStatistics) -> Iterator[Metric]:
        state = GaugeMetricFamily(
            "ml_api_redis_state", "1 for the state of the circuit breaker.", labels=["state"]
        )
        for name in BREAKER_STATES:
            state.add_metric([name], float(name == counts.state))
        yield state
        yield _counter("ml_api_redis_lookups", "Keys by result.", "result", counts.num_keys)
        yield _counter("ml_api_redis_failures", "Failures by kind.", "kind", counts.num_failures)
        yield CounterMetricFamily(
            "ml_api_redis_dropped_writes", "Answers that were not stored.", counts.num_dropped
        )
        yield CounterMetricFamily(
            "ml_api_announcements_refused",
            "Announcements in Redis that are not signed as ADMIN_TOKEN wants it.",
            counts.num_not_signed,
        )
        yield _histograms(
            "ml_api_redis_seconds",
            "One round trip, which carries many look-ups or stores.",
            "operation",
            self._round_trips,
        )


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
