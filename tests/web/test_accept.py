"""`Accept` and `Accept-Encoding`: weights, refusals, ranges, and headers that are long."""

import time

import httpx
import msgspec
import pytest

from ml_pipeline.web.accept import MAX_NAMES, choose, read_weights
from tests.web.samples import ROW

JSON, MSGPACK = "application/json", "application/msgpack"
ENCODE = {JSON: msgspec.json.encode, MSGPACK: msgspec.msgpack.encode}
BODIES = {
    "/predict": {"data": [ROW]},
    "/predict/batch": {"requests": [{"data": [ROW]}]},
}
OFFERED = ((JSON,), (MSGPACK, "application/x-msgpack"))

WANTED = [
    (f"{JSON};q=0.1, {MSGPACK}", MSGPACK),
    (f"{MSGPACK};q=0.1, {JSON}", JSON),
    (f"{MSGPACK};q=0.9, {JSON};q=0.91", JSON),
    (f"{JSON}; q=0, {MSGPACK}", MSGPACK),
    (f"{JSON};q=0, */*", MSGPACK),
    (f"{MSGPACK};q=0, */*;q=0.1", JSON),
    (f"{MSGPACK};q=0.000, application/*", JSON),
    (f"{JSON};q=0", MSGPACK),
    (f"{MSGPACK};Q=0", JSON),
    (f"{JSON};charset=utf-8;q=0.2,{MSGPACK};q=0.3", MSGPACK),
    (f"{JSON}, {MSGPACK}", JSON),
    (f"{MSGPACK}, {JSON}", MSGPACK),
    (f"application/x-msgpack;q=0.5, {JSON};q=0.4", MSGPACK),
    (f"text/html, {MSGPACK};q=0.2, */*;q=0.1", MSGPACK),
    (f"*/*;q=0.2, {JSON};q=0.1", MSGPACK),
    (JSON.upper(), JSON),
]
"""Headers that decide, whatever the body is, and what is answered."""

LEFT_OPEN = ["*/*", "application/*", "text/html", "text/html, */*;q=0.8", "", ",", ";q=0",
             f"{JSON};q=0, {MSGPACK};q=0", "*/*;q=0"]  # fmt: skip
"""Headers by which neither is better."""


def ask(client: httpx.Client, path: str, form: str, accept: str) -> httpx.Response:
    """Ask for a prediction."""
    content = ENCODE[form](BODIES[path])
    return client.post(path, content=content, headers={"Content-Type": form, "Accept": accept})


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
@pytest.mark.parametrize("form", [JSON, MSGPACK])
@pytest.mark.parametrize(("accept", "expected"), WANTED)
def test_the_heaviest_is_sent(
    client: httpx.Client, path: str, form: str, accept: str, expected: str
) -> None:
    """Of JSON and MessagePack the one of more weight; what has none is not sent."""
    answer = ask(client, path, form, accept)

    assert (answer.status_code, answer.headers["content-type"]) == (200, expected)


@pytest.mark.parametrize("form", [JSON, MSGPACK])
@pytest.mark.parametrize("accept", LEFT_OPEN)
def test_else_the_form_of_the_request(client: httpx.Client, form: str, accept: str) -> None:
    """Where neither is better, or nothing of all this is taken."""
    assert ask(client, "/predict", form, accept).headers["content-type"] == form


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("text/html", 307),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 307),
        ("text/html;q=0.5", 307),
        ("text/html;q=0", 200),
        ("application/json, text/html;q=0.5", 200),
        ("*/*", 200),
        ("text/htmlx", 200),
    ],
)
def test_a_person_is_led_to_the_dashboard(client: httpx.Client, accept: str, status: int) -> None:
    """Who likes HTML better than JSON, by its weight."""
    assert client.get("/", headers={"Accept": accept}).status_code == status


@pytest.mark.parametrize(
    ("accept", "gzip"),
    [("gzip;q=0.5", True), ("gzip;q=0", False), ("*;q=0.1", True), ("gzip;q=0, *", False),
     ("identity, *;q=0", False), ("br, gzip ; q = 0.3", True)],
)  # fmt: skip
def test_metrics_are_compressed_for_who_takes_it(
    client: httpx.Client, accept: str, gzip: bool
) -> None:
    """And not for who gives it no weight."""
    answer = client.get("/metrics", headers={"Accept-Encoding": accept})

    assert ("content-encoding" in answer.headers) == gzip


def test_a_header_of_60_kb_is_read_in_no_time() -> None:
    """Of many names the first are looked at: 60 kB of commas would take 20 ms."""
    began = time.thread_time()
    weights = [read_weights("a," * 30_000), read_weights("," * 60_000)]
    chosen = choose(f"{JSON};q=0.1" + ", x/y;q=0.5" * 5_000, OFFERED, usual=1)

    assert time.thread_time() - began < 0.005
    assert all(len(each) <= MAX_NAMES for each in weights)
    assert chosen == 0
