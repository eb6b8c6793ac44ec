"""Where each path leads: the whole native stack, with the limits that ship."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from ml_pipeline.web.dashboard import is_part_of_the_page
from tests.server import ROOT
from tests.stack.native import Stack
from tests.stack.nginx import PREDICTION, PROBLEM_TYPE, Answer, ask, send

ENCODED = [
    "/%2e%2e/nginx/nginx.conf.template",
    "/..%2fnginx%2fnginx.conf.template",
    "/%2e%2e%2fREADME.md",
    "/.%2e/README.md",
    "/api/..%2f..%2fREADME.md",
    "/api/%2e%2e/%2e%2e/README.md",
    "/prometheus/..%2f..%2fREADME.md",
    "//..//..//README.md",
    "/%252e%252e/README.md",
    "/..%5c..%5cREADME.md",
    "/index.html%00.md",
    "/index.html%2f..%2f..%2fREADME.md",
    "/closing/../../README.md",
]
"""Paths by which careless servers leave their folder; `README.md` lies beside `ui/`."""

BESIDE = [
    *("package.json", "package-lock.json", "tsconfig.json", "requirements.lock", ".npmrc"),
    *("vendor/.installed", "vendor/", "vendor", "js/", "js", "kustomization.yaml"),
    *("screenshots/page.png", "screenshots/", ".git/config", "nothing.css"),
]
"""Paths in the dashboard's folder that are no part of the page."""

ODD = [
    *("/api%2Fpredict", "/api/predict%0A", "/api/predict%3Fa=b", "/api/models%2Finfo"),
    *("/api/%0A", "/api/a%0Ab", "/api/%0D%0AX-Evil:%201", "/api/v2/models/a%0Ab/infer"),
    *("/%0A", "/a%0Ab", "/api/%FF%FE", "/%FF", "/api/%2F%2F", "/api/;", "/closing/", "/closing/a"),
    *("/prometheus/api/v1/query%0A?query=up", "/prometheus/%0A", "/api/?%0A", "/?%00"),
]
"""Paths that have led others astray: encoded slashes, newlines, question marks, bytes."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One replica."""
    folder = tmp_path_factory.mktemp("stack")
    with Stack(folder, replicas=1, profile="default") as stack:
        yield stack


def links(page: Answer) -> list[str]:
    """Files that a page names, itself or in its own small script."""
    named = re.findall(r'(?:href|src)="([^"]+)"', page.body.decode())
    return [link for link in named if not link.startswith("data:")]


def test_the_front_page(stack: Stack) -> None:
    """`/` is a page of the dashboard's folder, and each of its links leads somewhere."""
    page = ask(stack.port, "/")

    assert page.status == 200
    assert page.all("content-type") == ["text/html"]
    assert page.body == (ROOT / "ui" / "index.html").read_bytes()
    assert links(page)
    found = {link: ask(stack.port, urljoin("/", link)).status for link in links(page)}
    assert found == dict.fromkeys(found, 200)


@pytest.mark.parametrize("path", BESIDE)
def test_only_the_page_is_served(stack: Stack, path: str) -> None:
    """What lies in the dashboard's folder and is no part of the page is not for clients."""
    answer = ask(stack.port, f"/{path}")

    assert answer.status == 404
    assert answer.all("content-type") == [PROBLEM_TYPE]
    assert answer.json()["code"] == "not_found"


def test_both_servers_give_the_same_files(stack: Stack) -> None:
    """Every file of the folder is answered by Nginx as by the server itself, or by neither."""
    names = [str(path.relative_to(ROOT / "ui")) for path in (ROOT / "ui").rglob("*.*")]

    given = {name for name in names if ask(stack.port, f"/{name}").status == 200}

    assert given == {"index.html", *filter(is_part_of_the_page, names)}


@pytest.mark.parametrize("path", ["/vendor/uPlot.iife.min.js", "/style.css", "/"])
def test_parts_of_the_page_travel_light(stack: Stack, path: str) -> None:
    """Text is compressed, and what a client has is not sent again."""
    answer = ask(stack.port, path, headers={"Accept-Encoding": "gzip"})
    tag = answer.all("etag")[0]

    again = ask(stack.port, path, headers={"Accept-Encoding": "gzip", "If-None-Match": tag})

    assert answer.all("content-encoding") == ["gzip"]
    assert answer.all("vary") == ["Accept-Encoding"]
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
def test_predictions(stack: Stack, path: str) -> None:
    """A prediction is answered below /api as the replica itself answers it."""
    body = {"requests": [PREDICTION]} if path.endswith("batch") else PREDICTION
    answer = ask(stack.port, f"/api{path}", "POST", json=body)

    assert answer.status == 200, answer.body
    assert b"class_2" in answer.body


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/models", "/models/info", "/sample", "/health", "/health/live", "/health/ready"),
        *("/metrics", "/openapi.json", "/docs", "/redoc"),
    ],
)
def test_the_prefix_is_stripped(stack: Stack, path: str) -> None:
    """Each route of the replica answers below /api what it answers itself."""
    answer, own = ask(stack.port, f"/api{path}"), stack.ask_replica("api-1", path)

    assert answer.status == own.status_code == 200
    assert answer.all("content-type") == [own.headers["content-type"]]
    assert len(answer.body) == pytest.approx(len(own.content), rel=0.1)


def test_a_query_string_arrives(stack: Stack) -> None:
    """What stands behind the question mark reaches the replica, escapes and all."""
    answer = ask(stack.port, "/api/models/info?model=no%20such%26model")

    assert answer.status == 404
    assert "no such&model" in answer.json()["detail"]


@pytest.mark.parametrize("page", ["/api/docs", "/api/redoc"])
def test_documentation_behind_the_prefix(stack: Stack, page: str) -> None:
    """Everything that a page of the documentation loads is found from where the page is."""
    answer = ask(stack.port, page)
    found = {urljoin(page, link) for link in links(answer)}
    for script in sorted(path for path in found if path.endswith((".js",))):
        text = ask(stack.port, script).body.decode()
        if len(text) < 10_000:  # our own: it names the document, or the bundle that it starts
            names = re.findall(r'"([\w./-]+\.(?:json|js))"', text)
            found |= {urljoin(page if name.endswith("json") else script, name) for name in names}

    assert len(found) >= 3
    assert "/api/openapi.json" in found
    statuses = {path: ask(stack.port, path).status for path in found}
    assert statuses == dict.fromkeys(found, 200)


@pytest.mark.parametrize("page", ["/api/docs/", "/api/redoc/"])
def test_documentation_with_a_slash(stack: Stack, page: str) -> None:
    """Where a slash too many breaks relative links, clients are sent to the page without it."""
    answer = ask(stack.port, page)

    assert answer.status == 307
    assert urljoin(page, answer.all("location")[0]) == page.rstrip("/")


def test_servers_of_the_openapi_document(stack: Stack) -> None:
    """A client that resolves `servers` against the document's URL, as OpenAPI says, asks /api."""
    url = f"{stack.url}/api/openapi.json"
    document = ask(stack.port, "/api/openapi.json").json()

    (server,) = document["servers"]
    resolved = urljoin(url, server["url"]).rstrip("/")
    assert resolved == f"{stack.url}/api"
    assert ask(stack.port, f"{urlsplit(resolved).path}/models").status == 200


@pytest.mark.parametrize("path", ["query?query=up", "query_range?query=up&start=0&end=1&step=1"])
def test_queries_to_prometheus(stack: Stack, path: str) -> None:
    """The two routes that the dashboard asks reach Prometheus."""
    answer = ask(stack.port, f"/prometheus/api/v1/{path}")

    assert answer.status == 200
    assert answer.json()["status"] == "success"


@pytest.mark.parametrize("path", ["query?query=up", "query_range?query=up&start=0&end=1&step=1"])
def test_queries_to_prometheus_by_head(stack: Stack, path: str) -> None:
    """Prometheus has no HEAD; who sends one gets the head of the answer to GET all the same."""
    sent = f"/prometheus/api/v1/{path}"
    answers = [ask(stack.port, sent, method) for method in ("HEAD", "GET", "HEAD")]

    assert [answer.status for answer in answers] == [200, 200, 200]
    assert [answer.body for answer in answers if not answer.body] == [b"", b""]
    assert {answer.all("content-type")[0] for answer in answers} == {"application/json"}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_prometheus_is_only_read(stack: Stack, method: str) -> None:
    """Any other method than those in `Allow` is 405."""
    answer = ask(stack.port, "/prometheus/api/v1/query?query=up", method)

    assert answer.status == 405
    assert answer.all("allow") in (["GET"], ["GET, HEAD"])
    assert answer.json()["code"] == "method_not_allowed"


def test_what_is_allowed_is_answered(stack: Stack) -> None:
    """Each method that `Allow` names is answered with 200."""
    path = "/prometheus/api/v1/query?query=up"
    methods = ask(stack.port, path, "POST").all("allow")[0].split(", ")

    found = {method: ask(stack.port, path, method).status for method in methods}
    assert found == dict.fromkeys(methods, 200)


@pytest.mark.parametrize(
    "path",
    [
        *("/prometheus", "/prometheus/", "/prometheus/graph", "/prometheus/metrics"),
        *("/prometheus/api/v1/query/", "/prometheus/api/v1/queryx", "/prometheus/api/v1/labels"),
        *("/prometheus/api/v1/query/../status/config", "/prometheus/api/v1/query%2f..%2ftargets"),
        *("/prometheus/api/v1/admin/tsdb/snapshot", "/prometheus/-/reload", "/prometheus/federate"),
    ],
)
def test_the_rest_of_prometheus_stays_inside(stack: Stack, path: str) -> None:
    """Whatever the dashboard does not ask is not found."""
    answer = get(stack, path)

    assert answer.status == 404
    assert answer.json()["code"] == "not_found"


@pytest.mark.parametrize("host", ["example.org", "example.org:8443"])
def test_the_prefix_without_a_slash(stack: Stack, host: str) -> None:
    """`/api` leads to `/api/` on the host and port that the client has asked."""
    answer = send(stack.port, f"GET /api HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())

    assert answer.status in (301, 302, 307, 308)
    assert urljoin(f"http://{host}/api", answer.all("location")[0]) == f"http://{host}/api/"


@pytest.mark.parametrize("path", ENCODED)
def test_no_file_outside(stack: Stack, path: str) -> None:
    """No spelling of a path leads out of the dashboard's folder."""
    answer = get(stack, path)

    assert answer.status in (400, 404)
    assert answer.all("content-type") == [PROBLEM_TYPE]
    assert answer.json()["status"] == answer.status


def test_odd_paths(stack: Stack) -> None:
    """Encoded separators and bytes are answered, and none becomes a header."""
    answers = {path: get(stack, path) for path in ODD}

    expected = {200, 400, 404, 405}
    assert {
        path: each.status for path, each in answers.items() if each.status not in expected
    } == {}
    assert [each.all("x-evil") for each in answers.values()] == [[] for _ in ODD]


def test_the_moment_before_a_reload_changes_nothing(stack: Stack) -> None:
    """While connections are being closed every path leads where it did."""
    paths = [
        *ENCODED,
        "/",
        "/nope",
        "/api/models/info?model=x%26y",
        "/api/docs/assets/x.js",
        "/%FF",
    ]
    paths += ["/api%2Fpredict", "/api/predict%3Fa=b", "/api/%2F%2F", "/api/a%0Ab", "/?%00", "/api"]
    before = {path: get(stack, path).status for path in paths}
    flag = folder_of(stack) / "closing"
    flag.touch()
    try:
        page, meanwhile = get(stack, "/"), {path: get(stack, path).status for path in paths}
    finally:
        flag.unlink()

    assert page.all("connection") == ["close"]
    assert meanwhile == before


def folder_of(stack: Stack) -> Path:
    """Where the stack's Nginx runs: its master says so on its command line."""
    command = Path(f"/proc/{stack.pid('nginx')}/cmdline").read_text().replace("\0", " ")
    return Path(command.split(" -p ")[1].split()[0])


def get(stack: Stack, path: str) -> Answer:
    """Ask for a path as it is written."""
    return send(stack.port, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
