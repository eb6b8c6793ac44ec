"""API keys over HTTP: which routes ask for one, how it is sent, and how who has none is refused."""

from typing import Any

import httpx
import msgspec
import pytest

from ml_pipeline.web.access import needs_key
from ml_pipeline.web.openapi import openapi_document
from tests.keys import Keyed
from tests.server import exchange, settled
from tests.web.conftest import ADMIN_TOKEN
from tests.web.problem import assert_problem
from tests.web.samples import ROW

ASK = [
    ("POST", "/predict"),
    ("POST", "/predict/batch"),
    ("GET", "/sample"),
    ("GET", "/models"),
    ("GET", "/models/info"),
    ("GET", "/v2/models/wine"),
    ("GET", "/v2/models/wine/versions/1"),
    ("GET", "/v2/models/wine/ready"),
    ("GET", "/v2/models/wine/config"),
    ("GET", "/v2/models/wine/stats"),
    ("GET", "/v2/models/stats"),
    ("POST", "/v2/models/wine/infer"),
    ("POST", "/v2/models/wine/versions/1/infer"),
    ("POST", "/v2/repository/index"),
]
"""Routes that ask for a key."""

DO_NOT = [
    "/",
    "/health",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/redoc",
    "/ui/",
    "/ui/js/main.js",
    "/docs/assets/swagger.js",
    "/v2",
    "/v2/",
    "/v2/health/live",
    "/v2/health/ready",
]
"""Routes that do not."""

SPELLINGS = [
    "/models/",
    "//models",
    "/%6dodels",
    "/models%2F",
    "/./models",
    "/health/../models",
    "/ui/../models",
    "/ui/%2e%2e/models",
    "/docs/..%2fmodels",
    "/v2/health/ready/../../models/wine",
    "/v2//models/wine",
    "//v2/models/wine",
    "http://h/models",
    "/models#/health",
    "/models;/health",
    "/MODELS",
    "/nothing",
]
"""What could be taken for an open route by who checks, and for another by who answers."""

ADMIN = [
    "/models/reload",
    "/v2/repository/models/wine/load",
    "/v2/repository/models/wine/unload",
]
"""Routes that no key concerns: they have a token of their own."""

INFERENCE = {"inputs": [{"name": "float_input", "shape": [1, 10], "datatype": "FP32", "data": ROW}]}


def body_of(path: str) -> Any:
    """A body that a route takes."""
    if path.endswith("/infer"):
        return INFERENCE
    return {"requests": [{"data": [ROW]}]} if path.endswith("/batch") else {"data": [ROW]}


def ask(keyed: Keyed, method: str, path: str, **headers: str) -> httpx.Response:
    """Send a request; `_` in a header's name stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = body_of(path) if method == "POST" and "index" not in path else None
    return keyed.server.client.request(method, path, json=body, headers=named)


def assert_refused(answer: httpx.Response, path: str, found: str) -> None:
    """Assert a 401, in the form of the path's protocol, that says what was expected and found."""
    if path.startswith("/v2"):
        assert answer.headers["content-type"] == "application/json"
        assert answer.json().keys() == {"error"}
        detail = answer.json()["error"]
    else:
        detail = assert_problem(answer, 401, "unauthorized")["detail"]
    assert answer.status_code == 401
    assert detail.endswith(f"expected an API key, here or as Authorization: Bearer, found {found}")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), ASK)
def test_without_a_key(keyed: Keyed, method: str, path: str) -> None:
    """Who sends none is refused."""
    assert_refused(ask(keyed, method, path), path, "none")


@pytest.mark.parametrize(("method", "path"), ASK)
def test_with_another_key(keyed: Keyed, method: str, path: str) -> None:
    """Who sends a wrong one is refused, and the answer does not repeat it."""
    wrong = keyed.keys["alice"][:-4] + "0000"
    answer = ask(keyed, method, path, x_api_key=wrong)

    assert_refused(answer, path, "another")
    assert wrong not in answer.text + str(answer.headers)


@pytest.mark.parametrize(("method", "path"), ASK)
def test_with_a_key(keyed: Keyed, method: str, path: str) -> None:
    """Who has one may send it either way."""
    alone = ask(keyed, method, path, x_api_key=keyed.keys["alice"])
    bearer = ask(keyed, method, path, authorization=f"Bearer {keyed.keys['bob']}")

    assert (alone.status_code, bearer.status_code) == (200, 200)


@pytest.mark.parametrize("path", DO_NOT)
def test_open_routes(keyed: Keyed, path: str) -> None:
    """Health, metrics, pages and documents ask for none, and do not mind a wrong one."""
    client = keyed.server.client
    statuses = [client.get(path, headers=each).status_code for each in ({}, {"X-API-Key": "x"})]

    assert statuses == [200, 200]


@pytest.mark.parametrize("path", SPELLINGS)
def test_no_spelling_leads_past_the_check(keyed: Keyed, path: str) -> None:
    """Another spelling of a closed path is refused, or is nothing at all."""
    answer = exchange(keyed.server, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    assert answer.status in (401, 404)
    assert b"digest" not in answer.body
    assert b"float_input" not in answer.body


def test_every_route_is_open_or_closed_as_the_table_says() -> None:
    """No documented route is missing above."""
    documented = msgspec.json.decode(openapi_document())["paths"]
    known = {path.replace("{name}", "wine").replace("{version}", "1") for path in documented}
    asking = {path for _, path in ASK}
    asking |= {f"/v2/models/wine/versions/1/{part}" for part in ("ready", "config", "stats")}

    assert {path for path in known if needs_key(path)} == asking
    assert known - asking - set(DO_NOT) == set(ADMIN)


@pytest.mark.parametrize("path", [each.replace("wine", "x") for each in ADMIN])
def test_admin_routes_keep_their_token(keyed: Keyed, path: str) -> None:
    """A key does not open them, and their token needs no key besides."""
    key, client = keyed.keys["alice"], keyed.server.client
    sent = [{"X-API-Key": key}, {"Authorization": f"Bearer {key}"}]
    refused = [client.post(path, headers=headers) for headers in sent]
    opened = client.post(path, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})

    assert [answer.status_code for answer in refused] == [401, 401]
    assert all("admin token" in answer.text for answer in refused)
    assert opened.status_code in (200, 404)


def test_the_admin_token_is_no_key(keyed: Keyed) -> None:
    """Who may reload may not predict by that."""
    answer = ask(keyed, "POST", "/predict", authorization=f"Bearer {ADMIN_TOKEN}")

    assert answer.status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Basic {}"},
        {"authorization": "{}"},
        {"authorization": "Bearer"},
        {"authorization": "Bearer {} {}"},
        {"authorization": "Bearer\t{}"},
        {"authorization": "Bearer \t{}"},
        {"authorization": "Bearer {},"},
        {"authorization": "Bearer={}"},
        {"authorization": "BearerX {}"},
        {"authorization": "Token {}"},
        {"x_api_key": "Bearer {}"},
        {"x_api_key": "{},{}"},
        {"cookie": "x-api-key={}"},
        {"x_api_key": "x", "authorization": "Bearer {}"},
    ],
    ids=str,
)
def test_other_ways_to_send_it(keyed: Keyed, headers: dict[str, str]) -> None:
    """A key counts as X-API-Key, and else as a bearer token, in no other form."""
    sent = {name: value.replace("{}", keyed.keys["alice"]) for name, value in headers.items()}

    assert ask(keyed, "GET", "/models", **sent).status_code == 401


@pytest.mark.parametrize(
    "lines",
    ["Authorization: Bearer {}", "authorization:bearer {}", "AUTHORIZATION: BEARER   {}  ",
     "Authorization: \tBearer {} ", "X-API-Key: {}", "x-api-key:{}   ", "X-API-Key: \t {}",
     "X-API-Key: \t\r\nAuthorization: Bearer {}", "X-API-Key:\r\nAuthorization: Bearer {}",
     "X-API-Key: {}\r\nAuthorization: Bearer other"],
)  # fmt: skip
def test_blanks_that_are_no_part_of_it(keyed: Keyed, lines: str) -> None:
    """Blanks before a header's value and spaces behind it are no part of it; nor is the case."""
    head = f"GET /models HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n\r\n"

    assert exchange(keyed.server, head.replace("{}", keyed.keys["bob"]).encode()).status == 200


@pytest.mark.parametrize(
    "line",
    ["Authorization: Bearer {}\t", "Authorization: Bearer {} \t", "Authorization: Bearer {}\t ",
     "X-API-Key: {}\t", "X-API-Key: {} \t", "X-API-Key: {} {}"],
)  # fmt: skip
def test_a_tab_behind_it_makes_another_of_it(keyed: Keyed, line: str) -> None:
    """Nginx passes it on, so it would be one key here and another, or none, there."""
    head = f"GET /models HTTP/1.1\r\nHost: localhost\r\n{line}\r\n\r\n"

    assert exchange(keyed.server, head.replace("{}", keyed.keys["bob"]).encode()).status == 401


@pytest.mark.parametrize(
    "lines",
    ["X-API-Key: {}\r\nX-API-Key: {}", "X-API-Key: x\r\nX-API-Key: {}",
     "Authorization: Bearer {}\r\nAuthorization: Bearer {}", "X-API-Key:\r\nX-API-Key: {}",
     "Authorization: Basic eDp5\r\nAuthorization: Bearer {}",
     "X-API-Key: {}\r\nAuthorization: Bearer x\r\nAuthorization: Bearer y"],
)  # fmt: skip
def test_two_are_none(keyed: Keyed, lines: str) -> None:
    """Of a header that is there twice each reader takes another: neither counts."""
    head = f"GET /models HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n\r\n"
    answer = exchange(keyed.server, head.replace("{}", keyed.keys["bob"]).encode())

    assert answer.status == 401
    assert answer.json()["detail"].endswith("found several")


def test_a_header_that_is_no_key_may_be_there_twice(keyed: Keyed) -> None:
    """Only those that could hold one are counted."""
    head = f"GET /models HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {keyed.keys['bob']}\r\n"

    assert exchange(keyed.server, f"{head}X: y\r\nX: y\r\n\r\n".encode()).status == 200


def test_a_key_in_the_query_is_none(keyed: Keyed) -> None:
    """There it would be in every log on the way."""
    path = f"/models?api_key={keyed.keys['alice']}"

    assert ask(keyed, "GET", path).status_code == 401


def test_a_body_that_is_bad_is_not_looked_at(keyed: Keyed) -> None:
    """The key comes before the body: who has none learns nothing of what is wrong with it."""
    answers = [
        keyed.server.client.post(path, content=b"{", headers=headers)
        for path in ("/predict", "/v2/models/wine/infer", "/v2/models/nope/infer")
        for headers in ({}, {"X-API-Key": keyed.keys["bob"]})
    ]

    assert [answer.status_code for answer in answers] == [401, 400, 401, 400, 401, 404]


def test_a_head_that_is_bad_needs_no_key(keyed: Keyed) -> None:
    """What is no HTTP is told as that."""
    assert exchange(keyed.server, b"no HTTP\r\n\r\n").status == 400


def test_the_access_log_has_the_name_and_not_the_key(keyed: Keyed) -> None:
    """A line says whose key a request came with, if with any that is known."""
    headers = [{}, {"X-API-Key": f"alice.{'0' * 43}"}, {"X-API-Key": keyed.keys["alice"]}]
    for number, each in enumerate(headers):
        keyed.server.client.get("/models", headers={**each, "X-Request-ID": f"whose-{number}"})

    def lines() -> list[tuple[int, str | None]]:
        log = {line.get("request_id"): line for line in keyed.server.log_lines()}
        found = [log.get(f"whose-{number}") for number in range(3)]
        return [(line["status"], line.get("client")) for line in found if line]

    expected = [(401, None), (401, None), (200, "alice")]
    assert settled(lines, expected) == expected


def test_refusals_are_counted(keyed: Keyed) -> None:
    """As `unauthorized` among the refusals, and as a status of the route; no label has a name."""
    client = keyed.server.client

    def counts() -> tuple[float, float]:
        text = client.get("/metrics").text
        wanted = (
            'ml_api_refused_total{reason="unauthorized"} ',
            'ml_api_requests_total{endpoint="/predict",method="POST",status="401"} ',
        )
        lines = text.splitlines()
        assert not [line for line in lines if "alice" in line]
        found = [[line for line in lines if line.startswith(each)] for each in wanted]
        return float(found[0][0].split()[-1]), float(found[1][0].split()[-1])

    before = counts()
    for headers in ({}, {"x_api_key": "x"}):
        ask(keyed, "POST", "/predict", **headers)
    ask(keyed, "POST", "/predict", x_api_key=keyed.keys["alice"])

    expected = (before[0] + 2, before[1] + 2)
    assert settled(counts, expected) == expected


def test_a_page_of_another_origin_may_send_a_key(keyed: Keyed) -> None:
    """The preflight, which carries none, allows both headers; a refusal can be read."""
    client = keyed.server.client
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    preflight = client.options("/predict", headers=asked)
    refusal = client.post("/predict", headers={"Origin": "https://a.example"})

    allowed = preflight.headers["access-control-allow-headers"].split(", ")
    assert preflight.status_code == 204
    assert {"x-api-key", "authorization"} <= set(allowed)
    assert (refusal.status_code, refusal.headers["access-control-allow-origin"]) == (401, "*")


def test_the_document_tells_of_keys() -> None:
    """Each operation names the ways in, and that it may do without, where no key is asked for."""
    document = msgspec.json.decode(openapi_document())
    schemes = document["components"]["securitySchemes"]
    keys: list[dict[str, list[str]]] = [{"ApiKey": []}, {"BearerKey": []}, {}]

    assert (schemes["ApiKey"]["in"], schemes["ApiKey"]["name"]) == ("header", "X-API-Key")
    for path, item in document["paths"].items():
        known = path.replace("{name}", "wine").replace("{version}", "1")
        security = [{"AdminToken": []}] if known in ADMIN else keys if needs_key(known) else []
        for operation in item.values():
            assert operation["security"] == security
            assert ("401" in operation["responses"]) == bool(operation["security"])
