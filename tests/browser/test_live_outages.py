"""*Live* and the head of the page while something is away: gaps and words, never zeros."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Visit
from tests.browser.test_live import chart
from tests.browser.visitor import Visitor
from tests.server import Server, free_port
from tests.stack.native import Stack
from tests.stack.nginx import Gateway, quiet_port
from tests.web.samples import fresh_row

MOST_STEPS = 60
NOTICED_MS = 30_000.0


def source(visitor: Visitor) -> Locator:
    """The line that tells where the figures come from."""
    return visitor.view("live").locator(".source")


def values_back_in_time(visitor: Visitor) -> list[str]:
    """Requests a second that the crosshair finds, by the keyboard, from now to the beginning."""
    card = chart(visitor, "Requests")
    card.locator(".lines").focus()
    found: dict[str, str] = {}
    for _ in range(MOST_STEPS):
        visitor.page.keyboard.press("ArrowLeft")
        time = card.locator(".at").inner_text()
        if time in found:
            break
        found[time] = card.locator(".value").inner_text()
    return list(found.values())


class Restartable:
    """A server that is ended and started again on the same port."""

    def __init__(self) -> None:
        self._port = free_port()
        self.start()
        self.url = f"{self._server.url}/ui/"

    def start(self) -> None:
        """Start it."""
        self._server = Server(port=self._port)
        self._server.__enter__()

    def stop(self) -> None:
        """End it."""
        self._server.__exit__()

    def predict(self, count: int) -> None:
        """Ask it past the page."""
        for _ in range(count):
            self._server.client.post("/predict", json={"data": [fresh_row()]})


@pytest.fixture
def restartable() -> Iterator[Restartable]:
    """A server alone."""
    server = Restartable()
    yield server
    server.stop()


def test_a_server_that_goes_and_comes_back(visit: Visit, restartable: Restartable) -> None:
    """An open page calls its figures stale, then shows none at all, and goes on by itself."""
    visitor = visit(restartable.url).open("live")
    restartable.predict(5)
    expect(source(visitor)).to_contain_text("the server's own numbers")
    expect(visitor.tile(0)).not_to_have_text("–")
    visitor.expects_outage()
    restartable.stop()

    expect(source(visitor)).to_contain_text("The last polls were not answered", timeout=NOTICED_MS)
    expect(source(visitor)).to_contain_text("The server does not answer", timeout=NOTICED_MS)
    expect(visitor.page.locator("#state")).to_have_text("■ unreachable", timeout=NOTICED_MS)
    for index in range(4):
        expect(visitor.tile(index)).to_have_text("–")
    assert chart(visitor, "Requests").locator(".value").inner_text() == "–"
    assert chart(visitor, "Errors and refusals").locator(".value").all_inner_texts() == ["–", "–"]
    restartable.start()
    expect(source(visitor)).to_contain_text("the server's own numbers", timeout=NOTICED_MS)
    expect(visitor.page.locator("#state")).to_have_text("● healthy", timeout=NOTICED_MS)
    expect(visitor.tile(0)).not_to_have_text("–", timeout=NOTICED_MS)

    found = values_back_in_time(visitor)
    known = [index for index, value in enumerate(found) if value != "–"]
    assert "–" in found[known[0] : known[-1]]  # no line across the outage


def test_counters_that_begin_anew_give_no_rate_below_zero(
    visit: Visit, restartable: Restartable
) -> None:
    """After a restart with fewer requests than before the rate is what came since."""
    visitor = visit(restartable.url).open("live")
    visitor.expects_outage()
    restartable.predict(30)
    expect(visitor.tile(0)).not_to_have_text(re.compile("^(–|0)$"))
    restartable.stop()
    restartable.start()
    restartable.predict(1)
    expect(visitor.tile(0)).not_to_have_text("–", timeout=NOTICED_MS)

    assert [value for value in values_back_in_time(visitor) if value.startswith("-")] == []


def test_try_tells_that_nobody_answers(visit: Visit, restartable: Restartable) -> None:
    """A prediction while the server is away is a sentence, and works again afterwards."""
    visitor = visit(restartable.url).open()
    visitor.has_sample()
    visitor.expects_outage()
    restartable.stop()
    visitor.button("Predict").click()
    expect(visitor.problem).to_contain_text("The service cannot be reached.")
    restartable.start()

    visitor.predict()
    expect(visitor.problem).to_be_hidden()


@pytest.fixture(scope="module")
def deserted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Nginx with nobody behind it."""
    with Gateway(tmp_path_factory.mktemp("deserted"), quiet_port()) as gateway:
        yield gateway


@pytest.mark.parametrize("view", ["try", "live", "burst", "models", "health"])
def test_a_page_whose_service_is_down(visit: Visit, deserted: Gateway, view: str) -> None:
    """Behind an Nginx whose replicas are gone each view is there, and says that nobody answers."""
    visitor = visit(f"http://127.0.0.1:{deserted.port}/")
    visitor.expects_outage()
    visitor.open(view)

    expect(visitor.page.locator("#state")).to_have_text("■ unreachable")
    expect(visitor.view(view).get_by_role("heading", level=1)).to_be_visible()


def test_prometheus_goes_and_comes_back(visit: Visit, stack: Stack) -> None:
    """Without it the server's own numbers are shown, which is told; later it is asked again."""
    visitor = visit(f"{stack.url}/").open("live")
    expect(source(visitor)).to_contain_text("From Prometheus")
    visitor.expects_outage()
    stack.kill("prometheus", signal.SIGSTOP)
    try:
        expect(source(visitor)).to_contain_text("Prometheus does not answer", timeout=NOTICED_MS)
        expect(source(visitor)).to_contain_text("the server's own numbers")
        expect(visitor.tile(0)).not_to_have_text("–", timeout=NOTICED_MS)
        expect(visitor.view("live").locator("tbody tr")).to_have_count(2, timeout=NOTICED_MS)
    finally:
        stack.kill("prometheus", signal.SIGCONT)

    expect(source(visitor)).to_contain_text("From Prometheus", timeout=NOTICED_MS)


def test_a_replica_that_hangs_is_shown(visit: Visit, stack: Stack) -> None:
    """It is called down, the other one up, and it is up again when it goes on."""
    visitor = visit(f"{stack.url}/").open("live")
    visitor.expects_outage()
    rows = visitor.view("live").locator("tbody tr")
    expect(rows).to_have_count(2)
    stack.kill("api-2", signal.SIGSTOP)
    try:
        expect(rows.nth(1)).to_contain_text("■ down", timeout=NOTICED_MS)
        expect(rows.nth(0)).to_contain_text("● up")
    finally:
        stack.kill("api-2", signal.SIGCONT)

    expect(rows.nth(1)).to_contain_text("● up", timeout=NOTICED_MS)


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Stack]:
    """A stack of one replica that may be stopped."""
    with Stack(tmp_path, replicas=1) as running:
        yield running


def test_a_stack_that_goes_and_comes_back(visit: Visit, whole: Stack) -> None:
    """With everything gone there are words and dashes; with everything back, figures again."""
    visitor = visit(f"{whole.url}/").open("live")
    expect(source(visitor)).to_contain_text("From Prometheus", timeout=NOTICED_MS)
    visitor.expects_outage()
    assert whole.run("down").returncode == 0
    expect(source(visitor)).to_contain_text("Neither Prometheus nor", timeout=NOTICED_MS)
    expect(visitor.view("live")).to_contain_text("Nothing is known of them at the moment.")
    figures = visitor.view("live").locator(".chart .value").all_inner_texts()
    assert set(figures) == {"–"}
    assert whole.run("up", "--replicas", "1", "--profile", "bench").returncode == 0

    expect(source(visitor)).to_contain_text("From Prometheus", timeout=NOTICED_MS)
    expect(visitor.page.locator("#state")).to_have_text("● healthy", timeout=NOTICED_MS)
    expect(visitor.view("live").locator("tbody tr")).to_have_count(1)
