"""`/docs` and `/redoc` in a browser: drawn from the document, by scripts that call nobody."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.stack.native import Stack


@pytest.fixture(params=["bare", "stack"])
def api(request: pytest.FixtureRequest) -> str:
    """The server's routes, on itself and behind Nginx."""
    found = request.getfixturevalue(request.param)
    return f"{found.url}/api/" if isinstance(found, Stack) else found.replace("/ui/", "/")


@pytest.mark.parametrize("name", ["docs", "redoc"])
def test_a_page_of_the_documentation(visit: Visit, api: str, name: str) -> None:
    """It lists the routes without a complaint of the browser, and asks its own server alone."""
    visitor = visit(api)
    visitor.page.goto(f"{api}{name}")
    expect(visitor.page.get_by_text("Predict rows").first).to_be_visible()
    visitor.page.wait_for_load_state("networkidle")

    origin = "/".join(api.split("/")[:3])
    asked = [request.url for request in visitor.requests if not request.url.startswith("blob:")]
    assert {address[: len(origin)] for address in asked if address[:5] != "data:"} == {origin}
