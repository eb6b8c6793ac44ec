"""Metrics: our histogram counts as `prometheus_client`'s does, and each family is well formed."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace

import prometheus_client
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

from ml_pipeline import __version__
from ml_pipeline.cache.base import CacheStatistics, RedisStatistics
from ml_pipeline.observe.collector import Metrics, ModelSample
from ml_pipeline.observe.exposition import expose
from ml_pipeline.observe.histogram import ROWS, RUN_SECONDS, SECONDS, Histogram
from ml_pipeline.observe.model_counts import MAX_VERSIONS, ModelCounts, ModelLedger
from ml_pipeline.protocols.timings import Timings
from tests.fakes import shown
from tests.turns import Turns

BUCKETS = {"SECONDS": SECONDS, "RUN_SECONDS": RUN_SECONDS, "ROWS": ROWS}


@pytest.fixture
def metrics() -> Metrics:
    """Metrics of two loaded models and a small cache."""
    return Metrics(
        "replica-1",
        ("/predict", "/predict/batch"),
        scrape_models=lambda: [
            ModelSample("wine", "1", "a" * 64, 0.25, 3),
            ModelSample("price", "2", "b" * 64, 0.5, 0, disproved=True),
        ],
        scrape_cache=lambda: CacheStatistics(7, 7000, 2),
        scrape_redis=lambda: RedisStatistics("open", {"hit": 5, "miss": 1}, {"timeout": 3}, 4),
        scrape_behind=lambda: True,
    )


def families(metrics: Metrics) -> dict[str, Metric]:
    """What a scrape shows, by name."""
    return {family.name: family for family in shown(metrics)}


def value(metrics: Metrics, sample_name: str, **labels: str) -> float:
    """The one sample of a name with these labels."""
    found = [
        sample.value
        for family in families(metrics).values()
        for sample in family.samples
        if sample.name == sample_name and sample.labels == labels
    ]
    assert len(found) == 1, f"{sample_name}{labels}: {len(found)} samples"
    return float(found[0])


# The histogram.


def reference(bounds: tuple[float, ...], values: list[float]) -> tuple[dict[str, float], float]:
    """What prometheus_client counts: cumulative counts by bound, and the sum."""
    registry = CollectorRegistry()
    histogram = prometheus_client.Histogram("x", "x", buckets=bounds, registry=registry)
    for observed in values:
        histogram.observe(observed)
    samples = [sample for family in registry.collect() for sample in family.samples]
    counts = {s.labels["le"]: s.value for s in samples if s.name == "x_bucket"}
    (total,) = [s.value for s in samples if s.name == "x_sum"]
    return counts, total


@pytest.mark.parametrize("bounds", BUCKETS.values(), ids=BUCKETS)
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_histogram_counts_like_prometheus_client(
    bounds: tuple[float, ...], data: st.DataObject
) -> None:
    """Any values, those on the bounds among them, give the counts and sum of prometheus_client."""
    values = data.draw(st.lists(st.sampled_from(bounds) | st.floats(0, 5000), max_size=40))
    histogram = Histogram(bounds)

    for observed in values:
        histogram.observe(observed)

    counts, total = histogram.buckets()
    assert (dict(counts), total) == reference(bounds, values)


def test_an_empty_histogram_has_all_buckets() -> None:
    """Before the first observation every bucket is there, at 0."""
    counts, total = Histogram((1.0, 2.0)).buckets()

    assert counts == [("1.0", 0.0), ("2.0", 0.0), ("+Inf", 0.0)]
    assert total == 0.0


@pytest.mark.parametrize("bounds", BUCKETS.values(), ids=BUCKETS)
def test_buckets_grow(bounds: tuple[float, ...]) -> None:
    """Bounds are above 0 and each is larger than the one before."""
    assert all(low < high for low, high in zip((0.0, *bounds), bounds, strict=False))


def test_buckets_begin_where_the_values_are() -> None:
    """Requests from 100 µs, runs from 10 µs, batches from one row."""
    assert (SECONDS[0], RUN_SECONDS[0], ROWS[0]) == (0.0001, 0.00001, 1.0)


# What is counted.


def test_requests_are_counted_by_method_endpoint_and_status(metrics: Metrics) -> None:
    """A finished request is one under its three labels, and one duration of its endpoint."""
    for seconds in (0.001, 0.002):
        metrics.observe_request("POST", "/predict", 200, seconds)
    metrics.observe_request("POST", "/predict", 422, 0.003)

    labels = {"method": "POST", "endpoint": "/predict"}
    assert value(metrics, "ml_api_requests_total", **labels, status="200") == 2
    assert value(metrics, "ml_api_requests_total", **labels, status="422") == 1
    name = "ml_api_request_duration_seconds"
    assert value(metrics, f"{name}_count", endpoint="/predict") == 3
    assert value(metrics, f"{name}_sum", endpoint="/predict") == pytest.approx(0.006)
    assert value(metrics, f"{name}_bucket", endpoint="/predict", le="0.002") == 2


@pytest.mark.parametrize("method", ["BREW", "get", "", "X" * 1000])
def test_invented_methods_are_one_label(metrics: Metrics, method: str) -> None:
    """What is no method of HTTP's own is counted as OTHER."""
    metrics.observe_request(method, "/", 405, 0.001)

    labels = {"method": "OTHER", "endpoint": "/", "status": "405"}
    assert value(metrics, "ml_api_requests_total", **labels) == 1


def answered(model: str, num_rows: int, cache_state: str, *, queue_seconds: float) -> Timings:
    """A request that a model's version 1 has answered."""
    return Timings(
        0.0,
        model,
        "1",
        num_rows=num_rows,
        cache_state=cache_state,
        queue_seconds=queue_seconds,
    )


def test_predictions_count_rows_and_states(metrics: Metrics) -> None:
    """A prediction is its rows under the model, and one under how the cache answered."""
    metrics.observe_answer(answered("wine", 5, "miss", queue_seconds=0.001), 0.01)
    metrics.observe_answer(answered("wine", 5, "l1", queue_seconds=0.0), 0.01)

    assert value(metrics, "ml_api_predictions_total", model="wine", version="1") == 10
    assert value(metrics, "ml_api_cache_requests_total", result="miss") == 1
    assert value(metrics, "ml_api_cache_requests_total", result="l1") == 1


def test_versions_are_counted_apart(metrics: Metrics) -> None:
    """Rows of one are none of the other's."""
    metrics.observe_answer(answered("wine", 5, "miss", queue_seconds=0.001), 0.01)
    metrics.observe_batch("wine", "2", 7, 0.001)

    assert value(metrics, "ml_api_predictions_total", model="wine", version="1") == 5
    assert value(metrics, "ml_api_predictions_total", model="wine", version="2") == 0
    assert value(metrics, "ml_api_batch_rows_sum", model="wine", version="2") == 7


def test_versions_that_are_gone_make_room() -> None:
    """So that years of releases are bounded; what is served is never dropped."""
    ledger = ModelLedger()
    for number in range(MAX_VERSIONS + 5):
        ledger.of("wine", str(number)).observe_run(1, 0.001)

    ledger.forget([("wine", "0")])

    left = [version for (_, version), _ in ledger]
    assert len(left) == MAX_VERSIONS
    assert left[:2] == ["0", "6"]


def test_time_is_told_by_step() -> None:
    """Of what was run: decoding, the run, encoding; of look-ups: found or not."""
    counts = ModelCounts()
    run = Timings(0.0, "wine", "1", num_rows=2, cache_state="miss", decode_seconds=1.0,
                  cache_seconds=2.0, queue_seconds=3.0, run_seconds=4.0, encode_seconds=5.0,
                  )  # fmt: skip
    hit = Timings(0.0, "wine", "1", num_rows=2, cache_state="redis", cache_seconds=7.0)

    counts.observe_answer(run, 20.0)
    counts.observe_answer(hit, 10.0)
    counts.observe_failure(6.0)

    assert (counts.num_rows, counts.num_answers, counts.answer_seconds) == (4, 2, 30.0)
    assert (counts.num_failures, counts.failure_seconds) == (1, 6.0)
    assert (counts.num_misses, counts.miss_seconds) == (1, 2.0)
    assert (counts.num_hits, counts.hit_seconds) == (1, 7.0)
    assert (counts.queue.count, counts.queue.sum) == (1, 3.0)
    assert (counts.decode_seconds, counts.run_seconds, counts.encode_seconds) == (1.0, 4.0, 5.0)


def test_only_what_ran_has_waited(metrics: Metrics) -> None:
    """The time in the queue is observed for what was run, not for what the cache answered."""
    for state in ("miss", "bypass", "l1", "coalesced"):
        metrics.observe_answer(answered("wine", 1, state, queue_seconds=0.001), 0.01)

    assert value(metrics, "ml_api_queue_seconds_count", model="wine", version="1") == 2


def test_batches_count_rows_and_seconds(metrics: Metrics) -> None:
    """A run is one observation of its rows and one of its seconds."""
    metrics.observe_batch("wine", "1", 32, 0.0004)

    assert value(metrics, "ml_api_batch_rows_sum", model="wine", version="1") == 32
    assert value(metrics, "ml_api_batch_rows_bucket", model="wine", version="1", le="32.0") == 1
    assert value(metrics, "ml_api_batch_rows_bucket", model="wine", version="1", le="16.0") == 0
    assert value(metrics, "ml_api_run_seconds_sum", model="wine", version="1") == pytest.approx(
        0.0004
    )


def test_refusals_are_counted_by_reason(metrics: Metrics) -> None:
    """A refused request is one under the code of its error."""
    metrics.observe_refused("overloaded")

    assert value(metrics, "ml_api_refused_total", reason="overloaded") == 1


def test_models_and_cache_are_asked_at_the_scrape(metrics: Metrics) -> None:
    """What others know is read when somebody scrapes."""
    assert value(metrics, "ml_api_model_load_seconds", model="wine", version="1") == 0.25
    assert value(metrics, "ml_api_queue_depth_rows", model="wine", version="1") == 3
    info = {"model": "price", "version": "2", "digest": "b" * 12}
    assert value(metrics, "ml_api_model_info", **info) == 1
    assert value(metrics, "ml_api_batching_disproved_total", model="wine", version="1") == 0
    assert value(metrics, "ml_api_batching_disproved_total", model="price", version="2") == 1
    assert value(metrics, "ml_api_cache_entries") == 7
    assert value(metrics, "ml_api_cache_bytes") == 7000
    assert value(metrics, "ml_api_cache_evictions_total") == 2


# Form.


def test_every_family_is_there_before_the_first_request(metrics: Metrics) -> None:
    """A dashboard finds all names in a server that has answered nothing yet."""
    assert {
        "ml_api_requests",
        "ml_api_request_duration_seconds",
        "ml_api_predictions",
        "ml_api_model_load_seconds",
    } <= families(metrics).keys()


@pytest.mark.parametrize(
    ("sample_name", "labels"),
    [
        ("ml_api_requests_total", {"method": "POST", "endpoint": "/predict", "status": "200"}),
        ("ml_api_requests_total", {"method": "POST", "endpoint": "/predict", "status": "503"}),
        ("ml_api_request_duration_seconds_count", {"endpoint": "/predict/batch"}),
        ("ml_api_predictions_total", {"model": "wine", "version": "1"}),
        ("ml_api_cache_requests_total", {"result": "redis"}),
        ("ml_api_refused_total", {"reason": "overloaded"}),
        ("ml_api_queue_seconds_count", {"model": "wine", "version": "1"}),
        ("ml_api_run_seconds_count", {"model": "wine", "version": "1"}),
        ("ml_api_batch_rows_count", {"model": "wine", "version": "1"}),
    ],
)
def test_counters_start_at_zero(metrics: Metrics, sample_name: str, labels: dict[str, str]) -> None:
    """What can be known beforehand is there as zero, so that `rate()` sees the first event."""
    assert value(metrics, sample_name, **labels) == 0


def test_a_replica_names_itself(metrics: Metrics) -> None:
    """Who is scraped through a balancer tells which replica it is, and of which version."""
    assert value(metrics, "ml_api_info", replica="replica-1", version=__version__) == 1


def test_names_carry_their_unit(metrics: Metrics) -> None:
    """A name ends in a base unit of Prometheus, or counts things."""
    used(metrics)
    ours = [f for name, f in families(metrics).items() if name.startswith("ml_api_")]

    for family in ours:
        assert family.documentation.endswith(".")
        if family.type in ("histogram", "gauge"):
            assert family.name.endswith(
                ("_seconds", "_rows", "_bytes", "_info", "_entries", "_state", "_behind")
            )
        else:
            assert family.type == "counter"


def test_labels_are_of_bounded_sets(metrics: Metrics) -> None:
    """No label holds what a client invents, such as a request id or a path."""
    used(metrics)
    labels = {label for sample in samples(metrics) for label in sample.labels}

    assert labels <= {
        "method", "endpoint", "status", "model", "version", "digest", "result", "reason", "le",
            "state", "kind", "operation", "replica",
    }  # fmt: skip


def test_labels_are_escaped(metrics: Metrics) -> None:
    """A model's name may hold anything."""
    metrics.observe_answer(answered('a "quoted"\nname\\', 1, "miss", queue_seconds=0.0), 0.01)

    assert value(metrics, "ml_api_predictions_total", model='a "quoted"\nname\\', version="1") == 1


def used(metrics: Metrics) -> None:
    """Count one of everything."""
    metrics.observe_request("GET", "/", 200, 0.001)
    metrics.observe_answer(answered("wine", 1, "miss", queue_seconds=0.001), 0.01)
    metrics.observe_batch("wine", "1", 1, 0.001)
    metrics.observe_refused("overloaded")


def samples(metrics: Metrics) -> Iterator[prometheus_client.samples.Sample]:
    """All samples that are ours."""
    for name, family in families(metrics).items():
        if name.startswith("ml_api_"):
            yield from family.samples


# Many models.


def library_text(metrics: Metrics) -> bytes:
    """What prometheus_client writes for the same families of models."""
    loaded, counted = metrics.scrape_models()
    labels = ["model", "version"]
    rows = CounterMetricFamily("ml_api_predictions", "Rows answered, cached or run.", labels=labels)
    histograms = [
        HistogramMetricFamily(
            "ml_api_queue_seconds",
            "From a request's arrival in the queue to the start of its run.",
            labels=labels,
        ),
        HistogramMetricFamily("ml_api_run_seconds", "One run of the model.", labels=labels),
        HistogramMetricFamily("ml_api_batch_rows", "Rows in one run.", labels=labels),
    ]
    for which, counts in counted:
        rows.add_metric(which, counts.num_rows)
        for family, each in zip(
            histograms, (counts.queue, counts.runs, counts.batches), strict=True
        ):
            family.add_metric(which, *each.buckets())
    info = GaugeMetricFamily("ml_api_model_info", "Always 1.", labels=[*labels, "digest"])
    load = GaugeMetricFamily(
        "ml_api_model_load_seconds", "Opening the file to ready.", labels=labels
    )
    depth = GaugeMetricFamily("ml_api_queue_depth_rows", "Rows that wait for a run.", labels=labels)
    disproved = CounterMetricFamily(
        "ml_api_batching_disproved",
        "Whether rows of the loaded model were found not to stay apart: 0 or 1.",
        labels=labels,
    )
    for model in loaded:
        info.add_metric([model.name, model.version, model.digest[:12]], 1)
        load.add_metric([model.name, model.version], model.load_seconds)
        depth.add_metric([model.name, model.version], model.num_waiting)
        disproved.add_metric([model.name, model.version], model.disproved)
    families = [rows, *histograms, info, load, depth, disproved]
    return generate_latest(SimpleNamespace(collect=lambda: families))


def many(count: int) -> Metrics:
    """Metrics of so many loaded models, whose names and counts are of every kind."""
    models = [
        ModelSample(f'model "{number}"\\\n', str(number), f"{number:064x}", number / 7, number)
        for number in range(count)
    ]
    metrics = Metrics(
        "replica-1",
        ("/predict",),
        scrape_models=lambda: models,
        scrape_cache=lambda: CacheStatistics(0, 0, 0),
        scrape_redis=lambda: None,
        scrape_behind=lambda: False,
    )
    for number in range(0, count, 3):
        for _ in range(number % 5):
            metrics.observe_batch(
                f'model "{number}"\\\n', str(number), 2**number, 1.5e6 / 3**number
            )
            call = answered(f'model "{number}"\\\n', 10**number, "miss", queue_seconds=number / 3)
            call.model_version = str(number)
            metrics.observe_answer(call, 0.1)
    return metrics


def test_what_each_model_has_is_written_as_the_library_does() -> None:
    """Byte for byte: names, escapes, numbers of all sizes, buckets, order."""
    metrics = many(20)

    assert asyncio.run(expose(metrics)).endswith(library_text(metrics))


async def test_a_thousand_models_hold_nobody_up() -> None:
    """A scrape of 4 MB takes its turns with what else there is, none longer than 5 ms."""
    metrics = many(0)
    models = [ModelSample(f"model-{number}", "1", "a" * 64, 0.1, 0) for number in range(1000)]
    metrics._scrape_models = lambda: models
    longest = []
    for _ in range(10):  # what the machine or Python's collector adds is not in each of them
        turns = Turns()
        text = await expose(metrics)
        turns.stop()
        longest.append(turns.longest)

        assert len(text) > 3_500_000
        assert turns.num > 10
    assert min(longest) < 0.005


async def test_a_model_that_goes_during_a_scrape_is_told_whole() -> None:
    """What is told is what was there when the scrape began, each family of the same models."""
    metrics = many(300)
    scrape = asyncio.create_task(expose(metrics))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not scrape.done()
    metrics._scrape_models = list
    for number in range(MAX_VERSIONS):
        metrics.observe_batch("new", str(number), 1, 0.1)
    metrics.scrape_models()

    text = (await scrape).decode()

    for name in ("ml_api_predictions_total", "ml_api_run_seconds_sum", "ml_api_model_info"):
        assert sum(line.startswith(name + "{") for line in text.splitlines()) == 300
