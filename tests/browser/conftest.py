"""Chromium for each file of tests, and what it looks at: a server alone, and the native stack.

Browsers end with their file, because Playwright keeps an event loop of its own running, which tests
that need one would meet.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.visitor import Visitor, launch
from tests.server import Server
from tests.stack.native import Stack
from tests.web import samples

Visit = Callable[..., Visitor]
TOKEN = "a-token-of-the-tests"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with sync_playwright() as playwright:
        running = launch(playwright)
        yield running
        running.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Open a dashboard in a fresh browser, which at the end must have complained of nothing."""
    visitors: list[Visitor] = []
    with ExitStack() as contexts:

        def come(url: str, width: int = 1280, scheme: str = "light", **options: Any) -> Visitor:
            size = {"width": width, "height": 900}
            context = browser.new_context(viewport=size, color_scheme=scheme, **options)  # type: ignore[arg-type]
            contexts.callback(context.close)
            visitors.append(Visitor(context, url))
            return visitors[-1]

        yield come
        for visitor in visitors:
            assert visitor.complaints() == []


@pytest.fixture(scope="session")
def bare() -> Iterator[str]:
    """Address of the dashboard on a server without anything in front or behind."""
    with Server() as running:
        yield f"{running.url}/ui/"


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same with models of every kind."""
    folder = tmp_path_factory.mktemp("zoo")
    samples.write_many(folder)
    with Server(folder) as running:
        yield f"{running.url}/ui/"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Nginx, two replicas, Redis and Prometheus, without rate limits."""
    with Stack(tmp_path_factory.mktemp("stack"), ADMIN_TOKEN=TOKEN, HANG_SECONDS="0") as running:
        yield running


@pytest.fixture(params=["bare", "stack"])
def url(request: pytest.FixtureRequest) -> str:
    """The dashboard on the server alone, then behind Nginx."""
    found = request.getfixturevalue(request.param)
    return found if isinstance(found, str) else f"{found.url}/"
