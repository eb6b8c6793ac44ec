"""Pages of other sites, whose readers' browsers ask for what they may not: nothing is changed."""

from collections.abc import Iterator

import httpx
import msgspec
import pytest

from ml_pipeline.fronts.http.hosts import choose_hosts
from ml_pipeline.settings import load_settings
from ml_pipeline.web.openapi import openapi_document
from tests.keys import Keyed
from tests.server import Server, exchange
from tests.web.conftest import ADMIN_TOKEN
from tests.web.problem import assert_problem
from tests.web.samples import ROW

EVIL, FRIEND = "https://evil.example", "https://a.example"
PREDICT = ("/predict", "/predict/batch", "/v2/models/{name}/infer")
CHANGING = [
    path.replace("{name}", "wine")
    for path, item in msgspec.json.decode(openapi_document())["paths"].items()
    if "post" in item and not path.endswith(PREDICT) and not path.endswith("/infer")
]
"""Routes that may change something: all that take another method than GET, but predictions."""

FOREIGN = {
    "an origin": {"Origin": EVIL},
    "none to be told": {"Origin": "null"},
    "empty": {"Origin": ""},
    "another port": {"Origin": "http://127.0.0.1:1"},
    "no port": {"Origin": "http://127.0.0.1"},
    "another name": {"Origin": "http://localhost"},
    "cross-site": {"Sec-Fetch-Site": "cross-site"},
    "same site, another origin": {"Sec-Fetch-Site": "same-site"},
    "a new word": {"Sec-Fetch-Site": "who-knows"},
    "a browser's": {"Origin": EVIL, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    "with its own name": {"Origin": EVIL, "X-Forwarded-Host": "evil.example"},
}
"""Headers of a request that a page of another site has sent."""


@pytest.fixture(scope="module")
def local() -> Iterator[Server]:
    """A developer's: no token, and one other origin that may call."""
    with Server(CORS_ORIGINS=FRIEND, ENV="development") as server:
        yield server


@pytest.fixture(scope="module")
def open_to_all() -> Iterator[Server]:
    """A developer's, without a token, that any origin may call."""
    with Server(CORS_ORIGINS="*", ENV="development") as server:
        yield server


def post(server: Server, path: str, headers: dict[str, str]) -> httpx.Response:
    """Send what a form of any page can send."""
    return server.client.post(path, content=b"", headers={"Content-Type": "text/plain", **headers})


def test_some_routes_change_something() -> None:
    """The table is that of the document."""
    assert CHANGING == [
        "/models/reload",
        "/v2/repository/index",
        "/v2/repository/models/wine/load",
        "/v2/repository/models/wine/unload",
    ]


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("path", CHANGING)
def test_other_sites_change_nothing(local: Server, path: str, headers: dict[str, str]) -> None:
    """A request that another site's page has sent is refused, and the model is as it was."""
    before = local.client.get("/models").json()
    answer = post(local, path, headers)

    if path.startswith("/v2"):
        assert (answer.status_code, answer.json().keys()) == (403, {"error"})
    else:
        assert assert_problem(answer, 403, "forbidden")["detail"].startswith("origin: expected")
    assert local.client.get("/models").json() == before


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://127.0.0.1:PORT"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://before.a.proxy"},
        {"Origin": FRIEND},
        {"Origin": FRIEND, "Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
def test_ones_own_pages_and_no_pages_do(local: Server, headers: dict[str, str]) -> None:
    """Who is no browser, pages of this server, and origins in CORS_ORIGINS may reload."""
    sent = {name: value.replace("PORT", str(local.port)) for name, value in headers.items()}

    assert post(local, "/models/reload", sent).status_code == 200


def test_any_origin_is_none_where_nobody_needs_a_token(open_to_all: Server) -> None:
    """`*` lets every page ask for predictions, and none reload a developer's models."""
    body = {"data": [ROW]}
    predicted = open_to_all.client.post("/predict", json=body, headers={"Origin": EVIL})

    assert predicted.status_code == 200
    assert post(open_to_all, "/models/reload", {"Origin": EVIL}).status_code == 403


def test_any_origin_may_where_it_has_the_token(keyed: Keyed) -> None:
    """A page has the token from its reader: with it and `*` it may reload."""
    token = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    statuses = [post(keyed.server, "/models/reload", {"Origin": EVIL, **each}).status_code
                for each in ({}, token)]  # fmt: skip

    assert statuses == [401, 200]


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
def test_predictions_are_not_asked(local: Server, headers: dict[str, str]) -> None:
    """They change nothing, and a page that CORS does not allow cannot read the answer."""
    answer = local.client.post("/predict", json={"data": [ROW]}, headers=headers)

    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/models", "/health", "/ui/", "/v2/models/wine"])
def test_reading_is_not_asked(local: Server, path: str) -> None:
    """A link from another site leads here."""
    for method in ("GET", "HEAD"):
        answer = local.client.request(method, path, headers={"Sec-Fetch-Site": "cross-site"})

        assert answer.status_code == 200


def test_a_long_origin_is_cut(local: Server) -> None:
    """What is sent does not come back whole."""
    answer = post(local, "/models/reload", {"Origin": "https://" + "a" * 5000})

    assert answer.status_code == 403
    assert len(answer.content) < 500


# Other hosts.


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:PORT", "127.0.0.1.evil.example", "localhost.evil.example:80",
     "10.0.0.1", "[::2]", "127.0.0.1@evil.example", "evil.example#127.0.0.1", "", ":80", "x"],
)  # fmt: skip
@pytest.mark.parametrize(("method", "path"), [("POST", "/models/reload"), ("GET", "/models")])
def test_other_hosts_are_refused(local: Server, method: str, path: str, host: str) -> None:
    """A page whose name leads to loopback (DNS rebinding) neither changes nor reads anything."""
    sent = {"Host": host.replace("PORT", str(local.port)), "Origin": f"http://{host}"}
    answer = local.client.request(method, path, headers=sent)

    detail = assert_problem(answer, 421, "misdirected")["detail"]
    assert detail.startswith("host: expected one of ALLOWED_HOSTS (localhost, 127.0.0.1, [::1])")


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:80", "127.0.0.1", "127.0.0.1:65535", "[::1]", "[::1]:8000"]
)
def test_names_of_loopback_are_answered_to(local: Server, host: str) -> None:
    """With any port, since a tunnel may have another."""
    assert local.client.get("/models", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("settings", "answered", "refused"),
    [
        ({"ALLOWED_HOSTS": "api.example"}, ["api.example", "API.example:443"], ["localhost"]),
        ({"ALLOWED_HOSTS": "api.example, [2001:db8::1]"}, ["[2001:DB8::1]:8"], ["127.0.0.1"]),
        ({"ALLOWED_HOSTS": "api.example,*"}, ["localhost", "x", "evil.example:1"], []),
        ({"HOST": "127.0.0.5"}, ["127.0.0.5", "localhost"], ["127.0.0.6", "x"]),
        ({"HOST": "::1"}, ["[::1]", "localhost"], ["::1", "x"]),
        ({"HOST": "0.0.0.0"}, ["localhost", "evil.example", "10.0.0.1:80"], []),
        ({"HOST": "::"}, ["x"], []),
    ],
    ids=str,
)
def test_which_hosts(settings: dict[str, str], answered: list[str], refused: list[str]) -> None:
    """Those of ALLOWED_HOSTS; by default those of loopback where HOST is one, else any."""
    chosen = load_settings(settings)
    hosts = choose_hosts(chosen.allowed_hosts, chosen.host)
    asked = [*answered, *refused]
    let_in = [each for each in asked if hosts is None or not hosts.find_fault(each.encode())]

    assert let_in == answered


def test_http_1_0_need_not_name_a_host(local: Server) -> None:
    """A probe of HTTP/1.0 without a Host, which no browser sends, is answered."""
    assert exchange(local, b"GET /health/live HTTP/1.0\r\n\r\n").status == 200
