"""Traces: what a real collector receives over HTTP, and what happens where there is none."""

import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests import models
from tests.collector import Collector, ReceivedSpan
from tests.server import Server, free_port, run_python, wait_until
from tests.web.occupied import BUSY, Occupied
from tests.web.samples import ROW, fresh_row

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{CALLER}-01", f"00-{TRACE}-{CALLER}-00"
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "50"}
"""Milliseconds between two exports; 5 s by default."""


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """A collector for all tests; each looks for the ids of its own requests."""
    with Collector() as running:
        yield running


@pytest.fixture(scope="module")
def traced(collector: Collector) -> Iterator[Server]:
    """The bundled model, with every request traced."""
    resource = {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test"}
    with Server(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, settings=resource | SOON) as running:
        yield running


def post(server: Server, request_id: str, path: str = "/predict", **headers: str) -> None:
    """Send one prediction of a row that nobody has asked for."""
    body = {"data": [fresh_row(), fresh_row()]}
    headers["X-Request-ID"] = request_id
    assert server.client.post(path, json=body, headers=headers).status_code == 200


def span_of(collector: Collector, request_id: str) -> ReceivedSpan:
    """Wait for the span of a request; it is the only one."""
    wait_until(lambda: collector.spans(request_id) != [])
    [found] = collector.spans(request_id)
    return found


# What a span says.


def test_a_prediction_is_a_span(traced: Server, collector: Collector) -> None:
    """A request is one server span, named and described by the conventions for HTTP."""
    post(traced, "described")

    span = span_of(collector, "described")

    assert (span.name, span.kind) == ("POST /predict", Span.SPAN_KIND_SERVER)
    assert span.status == Status.STATUS_CODE_UNSET
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/predict",
        "http.response.status_code": 200,
        "url.path": "/predict",
        "url.scheme": "http",
        "ml_pipeline.request_id": "described",
        "ml_pipeline.model": "wine",
        "ml_pipeline.version": "1",
        "ml_pipeline.cache": "miss",
        "ml_pipeline.rows": 2,
        "ml_pipeline.batch_rows": 2,
    }


def test_a_span_says_where_it_is_from(traced: Server, collector: Collector) -> None:
    """The resource is this service and replica, with what OTEL_RESOURCE_ATTRIBUTES adds."""
    post(traced, "resource")

    resource = span_of(collector, "resource").resource

    assert resource["service.name"] == "ml-pipeline"
    assert resource["service.instance.id"]
    assert resource["deployment.environment.name"] == "test"


def test_the_phases_add_up(traced: Server, collector: Collector) -> None:
    """Events tell each phase where it began; together they are no longer than the span."""
    before = time.time_ns()
    post(traced, "phases")
    after = time.time_ns()

    span = span_of(collector, "phases")

    names = [name for name, _, _ in span.events]
    times = [at for _, at, _ in span.events]
    seconds = [attributes["seconds"] for _, _, attributes in span.events]
    assert names in (
        ["decode", "cache", "queue", "run", "encode"],
        ["decode", "cache", "run", "encode"],  # a lone request is run without waiting
    )
    assert before <= span.start <= times[0]
    assert times == sorted(times)
    assert times[-1] + seconds[-1] * 1e9 <= span.end + 50_000  # of rounding, and of two clocks
    assert 0 < sum(seconds) * 1e9 <= span.end - span.start + 50_000
    assert span.end <= after + 50_000_000  # counted while the answer was on its way


def test_a_hit_has_no_run(traced: Server, collector: Collector) -> None:
    """Of an answer from the cache only what was done is told."""
    for request_id in ("first", "second"):
        body = {"data": [ROW]}
        traced.client.post("/predict", json=body, headers={"X-Request-ID": request_id})

    span = span_of(collector, "second")

    assert span.attributes["ml_pipeline.cache"] == "l1"
    assert span.attributes["ml_pipeline.batch_rows"] == 0
    assert [name for name, _, _ in span.events] == ["decode", "cache"]


def test_a_batch_is_one_span(traced: Server, collector: Collector) -> None:
    """`/predict/batch` tells the rows of all members, and how many had which cache state."""
    members = [{"data": [fresh_row()]}, {"data": [fresh_row(), fresh_row()]}]
    headers = {"X-Request-ID": "batch"}
    traced.client.post("/predict/batch", json={"requests": members}, headers=headers)

    span = span_of(collector, "batch")

    assert span.name == "POST /predict/batch"
    assert span.attributes["ml_pipeline.rows"] == 3
    assert span.attributes["ml_pipeline.cache"] == "miss;n=2"
    assert span.attributes["ml_pipeline.model"] == "wine"


def test_an_inference_is_a_span(traced: Server, collector: Collector) -> None:
    """`/v2` is named by its route, not by the model's path."""
    tensor = {"name": "float_input", "shape": [1, 10], "datatype": "FP32", "data": fresh_row()}
    headers = {"X-Request-ID": "infer"}
    traced.client.post("/v2/models/wine/infer", json={"inputs": [tensor]}, headers=headers)

    span = span_of(collector, "infer")

    assert span.name == "POST /v2/models/{name}/infer"
    assert span.attributes["url.path"] == "/v2/models/wine/infer"
    assert span.attributes["ml_pipeline.rows"] == 1


def test_other_routes_are_spans(traced: Server, collector: Collector) -> None:
    """What is no prediction is a span without a model; a path that no route has names none."""
    for path in ("/models", "/nothing"):
        traced.client.get(path, headers={"X-Request-ID": path[1:]})

    known, unknown = span_of(collector, "models"), span_of(collector, "nothing")

    assert (known.name, known.attributes["http.route"]) == ("GET /models", "/models")
    assert (unknown.name, unknown.attributes.get("http.route")) == ("GET", None)
    assert unknown.status == Status.STATUS_CODE_UNSET  # a fault of the client's
    assert "ml_pipeline.model" not in known.attributes


def test_a_method_of_nobody_is_other(traced: Server, collector: Collector) -> None:
    """What clients invent does not become the name of a span."""
    traced.client.request("PURGE", "/predict", headers={"X-Request-ID": "purge"})

    span = span_of(collector, "purge")

    assert span.name == "HTTP /predict"
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes["http.request.method_original"] == "PURGE"


@pytest.mark.parametrize(
    "path",
    ["/health", "/health/live", "/health/ready", "/metrics", "/v2/health/live", "/v2/health/ready"],
)
def test_watching_leaves_no_span(traced: Server, collector: Collector, path: str) -> None:
    """Health checks and scrapes make none, however often they come."""
    traced.client.get(path, headers={"X-Request-ID": f"watch {path}".replace(" ", "")})
    post(traced, f"after{path}")

    span_of(collector, f"after{path}")

    assert collector.spans(f"watch{path}") == []


def test_a_request_that_fails_is_an_error(tmp_path: Path, collector: Collector) -> None:
    """A 504 is a span with the status of an error, and tells how long it has waited."""
    path = tmp_path / "slow.onnx"
    path.write_bytes(models.loop_model())
    options = {"SESSIONS": "1", "INLINE_BUDGET_US": "0", "MAX_BATCH_SIZE": "1"}
    with (
        Server(path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, settings=SOON | options) as server,
        ThreadPoolExecutor(1) as threads,
    ):
        occupied = Occupied(server, threads, 4 * BUSY)
        occupied.ask(1, **{"X-Request-Timeout-Ms": "100", "X-Request-ID": "late"})

        span = span_of(collector, "late")

    assert span.status == Status.STATUS_CODE_ERROR
    assert span.attributes["http.response.status_code"] == 504
    assert span.attributes["error.type"] == "504"
    waited = {name: told["seconds"] for name, _, told in span.events}
    assert 0.09 < waited["queue"] < (span.end - span.start) / 1e9


# Whose trace it is.


def test_a_callers_trace_goes_on(traced: Server, collector: Collector) -> None:
    """With a `traceparent` the span is part of that trace, below the caller's span."""
    post(traced, "child", traceparent=SAMPLED, tracestate="vendor=1,other=2")

    span = span_of(collector, "child")

    assert (span.trace_id, span.parent_id) == (TRACE, CALLER)
    assert span.trace_state == "vendor=1,other=2"


def test_without_one_a_trace_begins(traced: Server, collector: Collector) -> None:
    """Without a `traceparent`, or with one that is malformed, a span has a trace of its own."""
    post(traced, "root")
    post(traced, "malformed", traceparent=SAMPLED.upper())

    spans = [span_of(collector, each) for each in ("root", "malformed")]

    assert [span.parent_id for span in spans] == ["", ""]
    assert len({TRACE, *(span.trace_id for span in spans)}) == 3


def test_a_caller_that_records_nothing_is_obeyed(traced: Server, collector: Collector) -> None:
    """A `traceparent` that is not sampled makes no span."""
    post(traced, "unsampled", traceparent=UNSAMPLED)
    post(traced, "sampled", traceparent=SAMPLED)

    span_of(collector, "sampled")

    assert collector.spans("unsampled") == []


def test_the_sampler_is_the_sdks(collector: Collector) -> None:
    """OTEL_TRACES_SAMPLER decides which requests become spans."""
    sampler = {"OTEL_TRACES_SAMPLER": "parentbased_always_off"}
    with Server(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, settings=sampler | SOON) as server:
        post(server, "left-out")
        post(server, "asked-for", traceparent=SAMPLED)

        span_of(collector, "asked-for")

    assert collector.spans("left-out") == []


# How they are sent.


def test_spans_go_to_the_path_of_the_protocol(traced: Server, collector: Collector) -> None:
    """Traces go to `/v1/traces` below the address that is set, as protobuf."""
    post(traced, "path")
    span_of(collector, "path")

    assert {path for path, _ in collector.paths} == {"/v1/traces"}
    assert collector.paths[0][1]["content-type"] == "application/x-protobuf"


def test_the_end_sends_what_is_left(collector: Collector) -> None:
    """What was not yet sent at SIGTERM is sent before the process ends, with status 0."""
    later = {"OTEL_BSP_SCHEDULE_DELAY": "600000"}
    with Server(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, settings=later) as server:
        post(server, "last-words")
        assert collector.spans("last-words") == []

        server.send(signal.SIGTERM)
        status = server.wait()

    assert status == 0
    assert len(collector.spans("last-words")) == 1


@pytest.fixture
def silent() -> Iterator[str]:
    """Address of a collector that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["refuses", "silent"])
def test_without_a_collector_requests_are_answered(silent: str, kind: str) -> None:
    """Where nobody takes the spans all requests are answered, one line says so, and it ends."""
    url = silent if kind == "silent" else f"http://127.0.0.1:{free_port()}"
    often = {"OTEL_BSP_SCHEDULE_DELAY": "20", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    with Server(OTEL_EXPORTER_OTLP_ENDPOINT=url, settings=often) as server:
        for number in range(50):
            post(server, f"lost-{number}")
        wait_until(lambda: "tracing_failed" in server.stdout)
        for number in range(50):
            post(server, f"lost-too-{number}")
        server.send(signal.SIGTERM)
        status = server.wait()
        written = server.stdout + server.stderr
        lines = [line for line in server.log_lines() if line["event"] == "tracing_failed"]

    assert status == 0
    assert lines[0]["level"] == "warning"
    assert lines[0]["reason"]
    assert len(lines) <= 2  # the second: that the end could not send what was left
    assert "Traceback" not in written


def test_the_log_is_json_whatever_the_sdk_says(collector: Collector) -> None:
    """What the SDK complains of at the start is a line of the log, and nothing is on stderr."""
    wrong = {"OTEL_TRACES_SAMPLER": "no-such-sampler"}
    with Server(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, settings=wrong) as server:
        reasons = [x["reason"] for x in server.log_lines() if x["event"] == "tracing_failed"]

        assert "no-such-sampler" in reasons[0]
        assert "sampler" not in server.stderr


# Where it is off, or cannot be.


def test_without_the_variable_nothing_is_loaded() -> None:
    """A server that does not trace loads no SDK, and neither does Litestar."""
    script = (
        "import sys; from ml_pipeline.build import create_app; create_app(); print(*sys.modules)"
    )

    done = run_python(script)

    assert done.returncode == 0, done.stderr
    loaded = {name for name in done.stdout.split() if name.startswith("opentelemetry.")}
    assert {name for name in loaded if "semconv" not in name} == set()
    assert "ml_pipeline.observe.tracing" not in done.stdout.split()


def refused(setting: str, script: str = "") -> str:
    """Make the application with a collector, and give the reason why it cannot be."""
    done = run_python(
        f"import os, sys; {script}\nos.environ.update({setting})\n"
        "from ml_pipeline.command import main\nsys.exit(main(['serve']))"
    )
    assert done.returncode == 1, done.stdout
    [line] = done.stderr.splitlines()
    return line


def test_missing_packages_are_one_line() -> None:
    """Where OpenTelemetry is not installed the start says so, and how it is installed."""
    setting = "OTEL_EXPORTER_OTLP_ENDPOINT='http://127.0.0.1:9'"

    line = refused(setting, "sys.modules['opentelemetry.sdk'] = None")

    assert line.startswith("ml-pipeline: OTEL_EXPORTER_OTLP_ENDPOINT: ")
    assert "opentelemetry" in line
    assert "ml-pipeline[otel]" in line


def test_a_setting_of_the_sdk_that_cannot_be_is_one_line() -> None:
    """What the SDK refuses at the start ends it with one line."""
    setting = "OTEL_EXPORTER_OTLP_ENDPOINT='http://127.0.0.1:9', OTEL_BSP_MAX_QUEUE_SIZE='0'"

    assert "max_queue_size" in refused(setting)
