"""Where the server asks for an API key, the page asks for it, uses it, and tells it nobody else."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Locator, expect

from ml_pipeline.api_keys import make_key
from tests.browser.conftest import Visit
from tests.browser.test_accessibility import faults
from tests.browser.test_try_code import COMMANDS, code, run
from tests.browser.visitor import Visitor
from tests.keys import write_keys
from tests.server import Server, wait_until
from tests.stack.nginx import Gateway, Stub

Come = Callable[..., Visitor]
FOLDER = Path(__file__).parent / "screenshots"
PLACEHOLDER = "NAME.SECRET"


class Service(NamedTuple):
    """A service that asks for a key: the dashboard's address, the port, and the key of alice."""

    url: str
    port: int
    key: str


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The server alone."""
    path = tmp_path_factory.mktemp("service") / "keys"
    key = write_keys(path, "alice")["alice"]
    with Server(API_KEYS_FILE=str(path), ADMIN_TOKEN="token") as server:
        yield Service(f"{server.url}/ui/", server.port, key)


@pytest.fixture(scope="module")
def behind(alone: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The same behind Nginx, with a Prometheus that has nothing to tell."""
    folder = tmp_path_factory.mktemp("behind")
    nothing = b'{"status":"success","data":{"resultType":"vector","result":[]}}'
    with (
        Stub(nothing, Content_Type="application/json") as prometheus,
        Gateway(
            folder,
            alone.port,
            prometheus_port=prometheus.port,
            RATE_LIMIT_EXEMPT="127.0.0.0/8",
        ) as gateway,
    ):
        yield Service(f"http://127.0.0.1:{gateway.port}/", gateway.port, alone.key)


def card(visitor: Visitor) -> Locator:
    """The part of the page that asks for a key."""
    return visitor.page.get_by_role("region", name="API key")


def field(visitor: Visitor) -> Locator:
    """Where it is typed."""
    return visitor.page.get_by_label("API key", exact=True).and_(visitor.page.locator("input"))


def give(visitor: Visitor, key: str) -> None:
    """Type a key and use it."""
    field(visitor).fill(key)
    visitor.button("Use this key").click()


@pytest.fixture
def come(visit: Visit) -> Come:
    """Open the page of a service, which asks for a key."""

    def come(service: Service, **options: Any) -> Visitor:
        visitor = visit(service.url, **options)
        visitor.expects_status(401, 503)
        visitor.open()
        expect(card(visitor)).to_be_visible()
        return visitor

    return come


@pytest.fixture
def asked(come: Come, alone: Service) -> Visitor:
    """A visitor who is asked for a key by the server alone."""
    return come(alone)


@pytest.mark.parametrize("name", ["alone", "behind"])
def test_with_a_key_the_page_works(come: Come, name: str, request: pytest.FixtureRequest) -> None:
    """After it was given the sample comes and is predicted; it goes to the server alone.

    It is in a header of the page's requests there, and in no address, body, or query to Prometheus.
    """
    service: Service = request.getfixturevalue(name)
    visitor = come(service)
    expect(field(visitor)).to_have_attribute("type", "password")
    give(visitor, service.key)

    expect(card(visitor)).to_be_hidden()
    visitor.has_sample()
    visitor.predict()
    visitor.batch()
    expect(visitor.answer).to_contain_text("class_")
    visitor.page.goto(f"{service.url}#/health")
    if name == "behind":
        expect(visitor.view("health")).to_contain_text("None fires.")

    with_key = [r.url for r in visitor.requests if r.headers.get("x-api-key") == service.key]
    assert any("/predict?" in url for url in with_key)
    assert not [url for url in with_key if "/prometheus/" in url]
    assert not [r.url for r in visitor.requests if service.key in f"{r.url} {r.post_data}"]


def test_a_wrong_key_is_told(asked: Visitor, alone: Service) -> None:
    """The page goes on asking until it is a key that the service knows."""
    give(asked, make_key("alice")[0])
    expect(card(asked)).to_contain_text("The service does not know this key.")
    give(asked, "clé")
    expect(card(asked)).to_contain_text("That is no key")
    give(asked, f" {alone.key} ")

    expect(card(asked)).to_be_hidden()
    asked.has_sample()


@pytest.mark.parametrize("language", COMMANDS)
def test_code_has_a_place_for_the_key(asked: Visitor, alone: Service, language: str) -> None:
    """The same request as code never shows the key; with one in its place it is answered."""
    give(asked, alone.key)
    asked.has_sample()

    text = code(asked, language)
    assert alone.key not in asked.page.content() + text
    assert text.count(PLACEHOLDER) == 1
    assert "predictions" in run(language, text.replace(PLACEHOLDER, alone.key))


def test_the_key_is_kept_nowhere(asked: Visitor, alone: Service) -> None:
    """Neither storage nor page has it, so a page that is loaded anew asks again."""
    give(asked, alone.key)
    asked.has_sample()
    kept = asked.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")

    assert kept == "[{},{}]"
    assert asked.page.context.cookies() == []
    assert field(asked).input_value() == ""
    asked.page.reload()
    expect(card(asked)).to_be_visible()


def test_a_key_that_was_taken_out(visit: Visit, tmp_path: Path) -> None:
    """Whose key stops working is asked for another one."""
    key = write_keys(tmp_path / "keys", "alice")["alice"]
    with Server(API_KEYS_FILE=str(tmp_path / "keys")) as server:
        visitor = visit(f"{server.url}/ui/")
        visitor.expects_status(401)
        visitor.open()
        give(visitor, key)
        visitor.has_sample()
        another = write_keys(tmp_path / "keys", "bob")["bob"]
        headers = {"X-API-Key": another}
        wait_until(lambda: server.client.get("/models", headers=headers).status_code == 200)
        visitor.button("Predict").click()

        expect(card(visitor)).to_be_visible()
        expect(visitor.problem).to_contain_text("expected an API key")
        give(visitor, another)
        expect(card(visitor)).to_be_hidden()
        visitor.predict()


def test_a_wrong_admin_token_asks_for_no_key(asked: Visitor, alone: Service) -> None:
    """The two are told apart: a reload that is refused is about the token."""
    give(asked, alone.key)
    asked.has_sample()
    asked.page.goto(f"{alone.url}#/models")
    asked.page.get_by_label("Admin token").fill("another")
    asked.button("Reload").click()

    expect(asked.view("models")).to_contain_text("expected Bearer with the admin token")
    expect(card(asked)).to_be_hidden()
    asked.page.get_by_label("Admin token").fill("token")
    asked.button("Reload").click()
    expect(asked.view("models")).to_contain_text("Loaded wine 1.")


def test_who_is_asked_does_not_ask_on(asked: Visitor) -> None:
    """Until a key is given the page does not send one request after another that is refused."""
    before = len([r for r in asked.requests if r.url.endswith("/models")])
    asked.page.wait_for_timeout(6000)  # health is asked each 5 s

    assert len([r for r in asked.requests if r.url.endswith("/models")]) == before


def test_a_service_without_keys_asks_for_none(visit: Visit, bare: str) -> None:
    """There is nothing to be seen of keys, in the page or in the code."""
    visitor = visit(bare).open()
    visitor.has_sample()
    visitor.predict()

    expect(card(visitor)).to_be_hidden()
    assert "API" not in code(visitor, "curl")
    assert not [r for r in visitor.requests if "x-api-key" in r.headers]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_card_is_for_everybody(come: Come, alone: Service, width: int, scheme: str) -> None:
    """axe-core finds nothing serious, nothing is too wide; a picture is for people to look at."""
    visitor = come(alone, width=width, scheme=scheme)
    give(visitor, make_key("alice")[0])
    expect(card(visitor)).to_contain_text("does not know")
    visitor.page.screenshot(path=FOLDER / f"key-{width}-{scheme}.png", full_page=True)

    widths = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    needed, there = visitor.page.evaluate(widths)
    assert needed <= there
    assert faults(visitor) == []
