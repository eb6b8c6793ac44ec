"""The server's own `/metrics` as the page reads them, where there is no Prometheus."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser
from prometheus_client.parser import text_string_to_metric_families

from tests.server import new_client
from tests.web.samples import fresh_row

DERIVED = """async ([before, after, seconds]) => {
  const { parse } = await import(new URL("js/live/exposition.js", location.href));
  const { count, derive, rate } = await import(new URL("js/live/totals.js", location.href));
  const rates = rate(count(parse(before)), count(parse(after)), seconds);
  return rates && derive(rates);
}"""
PARSED = """async (text) => {
  const { parse } = await import(new URL("js/live/exposition.js", location.href));
  return parse(text).map(({ name, labels, value }) => [name, labels, String(value)]);
}"""
HOSTILE = r"""# HELP x A "quoted" one.
# TYPE x counter
x_total{a="a \"quoted\" one",b="back\\slash",c="two\nlines",d="}, e=\"f"} 3 1700000000000
y 1e-05
z{le="+Inf"} +Inf
w NaN
"""

Evaluate = Callable[[str, Any], Any]


@pytest.fixture(scope="module")
def evaluate(browser: Browser, bare: str) -> Iterator[Evaluate]:
    """Run a script in a page of the dashboard."""
    page = browser.new_page()
    page.goto(bare)
    yield page.evaluate
    page.close()


def buckets(name: str, counts: dict[str, int], labels: str = "") -> str:
    """A histogram's buckets in Prometheus' text format."""
    return "".join(
        f'{name}_bucket{{{labels}le="{bound}"}} {count}\n' for bound, count in counts.items()
    )


def test_samples_are_read_as_prometheus_reads_them(evaluate: Evaluate, bare: str) -> None:
    """Every sample of a server has the name, the labels and the value that its own parser finds."""
    with new_client(bare.removesuffix("/ui/")) as client:
        text = client.get("/metrics").text
    families = text_string_to_metric_families(text)
    expected = [(s.name, s.labels, s.value) for family in families for s in family.samples]

    found = [(name, labels, float(value)) for name, labels, value in evaluate(PARSED, text)]
    assert found == expected


def test_odd_samples_are_read(evaluate: Evaluate) -> None:
    """Quotes, backslashes, line ends and braces in labels, time stamps, infinity, and no number."""
    odd = {"a": 'a "quoted" one', "b": "back\\slash", "c": "two\nlines", "d": '}, e="f'}

    assert evaluate(PARSED, HOSTILE) == [
        ["x_total", odd, "3"],
        ["y", {}, "0.00001"],
        ["z", {"le": "+Inf"}, "Infinity"],
        ["w", {}, "NaN"],
    ]


@pytest.mark.parametrize(
    ("counts", "p50", "p95"),
    [
        ({"0.1": 50, "0.2": 100, "+Inf": 100}, 0.1, 0.19),
        ({"0.1": 100, "0.2": 100, "+Inf": 100}, 0.05, 0.095),
        ({"0.1": 0, "0.2": 10, "+Inf": 100}, 0.2, 0.2),
        ({"0.1": 0, "0.2": 0, "+Inf": 0}, None, None),
    ],
)
def test_quantiles_of_buckets(
    evaluate: Evaluate, counts: dict[str, int], p50: float | None, p95: float | None
) -> None:
    """They are those of Prometheus' histogram_quantile: linear in a bucket, bounded by the last."""
    name, labels = "ml_api_request_duration_seconds", 'endpoint="/predict",'
    nothing = buckets(name, dict.fromkeys(counts, 0), labels)

    derived = evaluate(DERIVED, [nothing, buckets(name, counts, labels), 10])
    assert [derived["p50"], derived["p95"]] == [pytest.approx(p50), pytest.approx(p95)]


def test_rates_of_a_server(evaluate: Evaluate, bare: str) -> None:
    """What was sent between two looks is what they give: requests, hits, refusals, rows a run."""
    with new_client(bare.removesuffix("/ui/")) as client:
        before = client.get("/metrics").text
        rows = [[fresh_row(), fresh_row()] for _ in range(6)]
        for each in [*rows, *rows[:2]]:
            client.post("/predict", json={"data": each})
        after = client.get("/metrics").text

    derived = evaluate(DERIVED, [before, after, 4.0])
    assert derived["requests"] == pytest.approx(2.0)
    assert derived["l1"] == pytest.approx(0.25)
    assert derived["batchRows"] == pytest.approx(2.0)
    assert [derived["errors"], derived["refused"]] == [0, 0]


def test_counters_that_fall_give_nothing(evaluate: Evaluate) -> None:
    """Between a server and the one that was started in its place there is no rate."""
    line = 'ml_api_requests_total{method="POST",endpoint="/predict",status="200"} '

    assert evaluate(DERIVED, [f"{line}50\n", f"{line}2\n", 2.0]) is None


def test_without_traffic_only_rates_are_known(evaluate: Evaluate, bare: str) -> None:
    """Rates are zero; what is a share of nothing or a quantile of nothing is not known."""
    with new_client(bare.removesuffix("/ui/")) as client:
        text = client.get("/metrics").text

    derived = evaluate(DERIVED, [text, text, 2.0])
    known = {name for name, value in derived.items() if value is not None}
    assert known == {"requests", "errors", "refused"}
