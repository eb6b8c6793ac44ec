"""`/`, `/health…` and `/metrics` over HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from ml_pipeline import __version__
from tests import models
from tests.server import Server, exchange, settled
from tests.web.samples import ROW, fresh_row
from tests.web.starting import starting_server

# Health.


def test_status_tells_what_runs(client: httpx.Client) -> None:
    """`GET /` tells name, version, models and where the documentation is."""
    answer = client.get("/")

    assert answer.json() == {
        "name": "ml-pipeline",
        "version": __version__,
        "ready": True,
        "models": ["wine"],
        "docs": "docs",
    }


def test_a_browser_is_led_to_the_dashboard(client: httpx.Client) -> None:
    """Who wants a page at `/` gets the dashboard's address, relative for use behind a prefix."""
    answer = client.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})

    assert answer.status_code == 307
    assert answer.headers["location"] == "ui/"
    assert answer.headers["vary"] == "Accept"


def test_health_tells_model_redis_version_and_uptime(client: httpx.Client) -> None:
    """`GET /health` has the documented fields, of a server that is well."""
    answer = client.get("/health")
    health = answer.json()

    assert answer.status_code == 200
    assert health.pop("uptime") > 0
    assert health == {
        "status": "healthy",
        "model_loaded": True,
        "redis_connected": False,
        "model_name": "wine",
        "version": __version__,
        "dependencies": [{"name": "model", "status": "healthy", "detail": "wine/1"}],
    }


def test_uptime_grows(client: httpx.Client) -> None:
    """Each look at the uptime finds more of it."""
    first = client.get("/health").json()["uptime"]
    second = client.get("/health").json()["uptime"]

    assert 0 < first <= second


def test_live_and_ready(client: httpx.Client) -> None:
    """A server with its models loaded is live and ready."""
    assert client.get("/health/live").json() == {"live": True}
    assert client.get("/health/ready").json() == {"ready": True}


@pytest.fixture
async def starting() -> AsyncIterator[httpx.AsyncClient]:
    """The application before its models are loaded."""
    async with starting_server() as client:
        yield client


async def test_a_starting_server_is_not_ready(starting: httpx.AsyncClient) -> None:
    """Until the models are loaded readiness is a 503, and the health says why."""
    ready = await starting.get("/health/ready")
    health = await starting.get("/health")

    assert (ready.status_code, ready.json()) == (503, {"ready": False, "reason": "loading"})
    assert (health.status_code, health.json()["status"]) == (503, "unhealthy")
    assert health.json()["dependencies"][0]["detail"] == "loading"


async def test_a_starting_server_is_live(starting: httpx.AsyncClient) -> None:
    """Liveness does not wait for models."""
    assert (await starting.get("/health/live")).status_code == 200


def test_a_server_without_a_model_is_not_ready(tmp_path: Path) -> None:
    """Balancers send it nothing until one is loaded; under `/v2` it is ready, as Triton is."""
    (tmp_path / "scaled.onnx").write_bytes(models.scale_model(2.0))
    with Server(tmp_path) as server:
        server.client.post("/v2/repository/models/scaled/unload")
        paths = ("/", "/health", "/health/ready", "/health/live", "/v2/health/ready")
        found = {path: server.client.get(path) for path in paths}
        server.client.post("/v2/repository/models/scaled/load")
        again = [server.client.get(path).status_code for path in paths]

    assert [answer.status_code for answer in found.values()] == [200, 503, 503, 200, 200]
    assert found["/"].json()["ready"] is False
    assert found["/health/ready"].json() == {"ready": False, "reason": "no model is loaded"}
    health = found["/health"].json()
    assert (health["status"], health["model_loaded"]) == ("unhealthy", False)
    assert health["dependencies"][0]["detail"] == "no model is loaded"
    assert again == [200] * 5


# Metrics.


def families(server: Server) -> dict[str, Metric]:
    """Scrape, and parse as Prometheus does."""
    answer = server.client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def value(server: Server, sample_name: str, **labels: Any) -> float:
    """Sum the samples of a name that carry these labels."""
    return sum(
        sample.value
        for family in families(server).values()
        for sample in family.samples
        if sample.name == sample_name and labels.items() <= sample.labels.items()
    )


def counted(server: Server, expected: float, sample_name: str, **labels: Any) -> float:
    """The same, once what was sent last is counted too."""
    return float(settled(lambda: value(server, sample_name, **labels), expected))


@pytest.mark.parametrize(
    ("method", "path", "status", "endpoint"),
    [
        ("POST", "/predict", "422", "/predict"),
        ("GET", "/predict", "405", "/predict"),
        ("POST", "/predict/batch", "422", "/predict/batch"),
        ("GET", "/models/info", "200", "/models/info"),
        ("GET", "/models/info?model=vine", "404", "/models/info"),
        ("GET", "/docs/assets/swagger.js", "200", "/docs/assets/{name}"),
        ("GET", "/docs/assets/nothing", "404", "/docs/assets/{name}"),
    ],
)
def test_requests_are_counted_by_route(
    server: Server, method: str, path: str, status: str, endpoint: str
) -> None:
    """Each request is one in ml_api_requests_total, under its method, route template and status."""
    labels = {"method": method, "endpoint": endpoint, "status": status}
    before = value(server, "ml_api_requests_total", **labels)

    for _ in range(3):
        server.client.request(method, path, content=b"{}" if method == "POST" else None)

    assert counted(server, before + 3, "ml_api_requests_total", **labels) == before + 3


def test_unknown_paths_share_a_label(server: Server) -> None:
    """Paths that clients invent make no new series, however many they are."""
    server.client.get("/never/heard/of")
    labels = {sample.labels["endpoint"] for sample in requests(server)}
    unmatched = {"status": "404", "endpoint": "unmatched"}
    before = value(server, "ml_api_requests_total", **unmatched)

    for number in range(5):
        server.client.get(f"/invented/{number}")

    assert {sample.labels["endpoint"] for sample in requests(server)} == labels
    assert counted(server, before + 5, "ml_api_requests_total", **unmatched) == before + 5


def test_unknown_methods_share_a_label(server: Server) -> None:
    """Methods that clients invent are counted as OTHER."""
    before = value(server, "ml_api_requests_total", method="OTHER")

    for method in (b"BREW", b"STEEP"):
        exchange(server, method + b" /predict HTTP/1.1\r\nHost: localhost\r\n\r\n")

    assert counted(server, before + 2, "ml_api_requests_total", method="OTHER") == before + 2


def requests(server: Server) -> list[Any]:
    return families(server)["ml_api_requests"].samples


def test_durations_are_counted_by_endpoint(server: Server) -> None:
    """ml_api_request_duration_seconds has one observation a request, and their sum."""
    name = "ml_api_request_duration_seconds"
    count = value(server, f"{name}_count", endpoint="/predict")
    seconds = value(server, f"{name}_sum", endpoint="/predict")

    for _ in range(4):
        server.client.post("/predict", json={"data": [fresh_row()]})

    assert counted(server, count + 4, f"{name}_count", endpoint="/predict") == count + 4
    assert value(server, f"{name}_sum", endpoint="/predict") > seconds


def test_duration_buckets_start_at_100_microseconds(server: Server) -> None:
    """The buckets begin where a cached answer lies, end at infinity and never fall."""
    server.client.post("/predict", json={"data": [ROW]})

    family = families(server)["ml_api_request_duration_seconds"]
    buckets = [
        (sample.labels["le"], sample.value)
        for sample in family.samples
        if sample.name.endswith("_bucket") and sample.labels["endpoint"] == "/predict"
    ]
    bounds, counts = zip(*buckets, strict=True)
    assert (float(bounds[0]), bounds[-1]) == (0.0001, "+Inf")
    assert list(counts) == sorted(counts)
    assert counts[-1] == value(server, "ml_api_request_duration_seconds_count", endpoint="/predict")


def test_metrics_are_compressed_for_who_takes_it(server: Server) -> None:
    """A dashboard asks each 2 s, and it is the same text over and over."""
    plain = server.client.get("/metrics", headers={"accept-encoding": "identity"})
    small = server.client.get("/metrics", headers={"accept-encoding": "gzip"})

    assert "content-encoding" not in plain.headers
    assert small.headers["content-encoding"] == "gzip"
    assert int(small.headers["content-length"]) < int(plain.headers["content-length"]) / 4
    assert small.text.splitlines()[0] == plain.text.splitlines()[0]


def test_predictions_count_rows(server: Server) -> None:
    """ml_api_predictions_total counts rows by model: computed, cached and of batches alike."""
    before = value(server, "ml_api_predictions_total", model="wine", version="1")
    rows = [fresh_row() for _ in range(3)]

    server.client.post("/predict", json={"data": rows})
    server.client.post("/predict", json={"data": rows})
    server.client.post("/predict/batch", json={"requests": [{"data": rows}, {"data": [ROW]}, {}]})
    server.client.post("/predict", json={"data": [[1.0]]})

    after = before + 3 + 3 + 3 + 1
    assert counted(server, after, "ml_api_predictions_total", model="wine", version="1") == after


def test_cache_results_are_counted(server: Server) -> None:
    """Each prediction is one in ml_api_cache_requests_total, under how the cache answered."""
    results = ("miss", "l1", "bypass")
    before = [value(server, "ml_api_cache_requests_total", result=r) for r in results]
    body = {"data": [fresh_row()]}

    for _ in range(3):
        server.client.post("/predict", json=body)
    server.client.post("/predict", json={**body, "use_cache": False})

    after = [value(server, "ml_api_cache_requests_total", result=r) for r in results]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 2, 1]


def test_refusals_are_counted_by_reason(server: Server) -> None:
    """A refused prediction is one in ml_api_refused_total, under the code of its error."""
    before = value(server, "ml_api_refused_total", reason="invalid_input")

    server.client.post("/predict", json={})

    reason = {"reason": "invalid_input"}
    assert counted(server, before + 1, "ml_api_refused_total", **reason) == before + 1


def test_runs_are_counted_with_their_rows(server: Server) -> None:
    """A run is one observation of its rows and its seconds."""
    before = [value(server, f"ml_api_{name}", model="wine", version="1") for name in RUNS]

    server.client.post("/predict", json={"data": [fresh_row()] * 7})

    after = [value(server, f"ml_api_{name}", model="wine", version="1") for name in RUNS]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 7, 1]


RUNS = ("batch_rows_count", "batch_rows_sum", "run_seconds_count")


def test_models_are_told(server: Server) -> None:
    """Load time, digest and version of each model are gauges."""
    info = server.client.get("/models/info").json()

    labels = {"model": "wine", "version": "1", "digest": info["digest"][:12]}
    assert value(server, "ml_api_model_info", **labels) == 1
    assert value(server, "ml_api_model_load_seconds", model="wine", version="1") == pytest.approx(
        info["load_seconds"], rel=0.01
    )
    assert value(server, "ml_api_queue_depth_rows", model="wine", version="1") == 0


def test_the_cache_is_told(server: Server) -> None:
    """Entries and bytes of the cache grow with what it stores."""
    before = [value(server, f"ml_api_cache_{name}") for name in ("entries", "bytes")]

    server.client.post("/predict", json={"data": [fresh_row()]})

    after = [value(server, f"ml_api_cache_{name}") for name in ("entries", "bytes")]
    assert after[0] == before[0] + 1
    assert after[1] > before[1] + 200


def test_the_process_is_told(server: Server) -> None:
    """Memory and CPU time of the process are there under their usual names."""
    assert value(server, "process_resident_memory_bytes") > 10_000_000
    assert value(server, "process_cpu_seconds_total") > 0


def test_metrics_have_help_and_one_prefix(server: Server) -> None:
    """Each metric explains itself, and is ours by its prefix."""
    found = families(server).values()

    assert all(family.documentation for family in found)
    assert {family.name.split("_")[0] for family in found} == {"ml", "process"}
