"""For everybody, when something is wrong too: axe-core's rules on views that tell of problems."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.test_accessibility import VIEWS, faults
from tests.stack.native import Stack
from tests.stack.nginx import Gateway, quiet_port


@pytest.fixture(scope="module")
def deserted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Nginx with nobody behind it."""
    with Gateway(tmp_path_factory.mktemp("deserted"), quiet_port()) as gateway:
        yield gateway


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_where_nobody_answers(
    visit: Visit, deserted: Gateway, scheme: str
) -> None:
    """Each view is as accessible while the service is down."""
    visitor = visit(f"http://127.0.0.1:{deserted.port}/", scheme=scheme)
    visitor.expects_outage()
    visitor.open()
    expect(visitor.page.locator("#state")).to_have_text("■ unreachable")
    found = {}
    for view in VIEWS:
        visitor.open(view)
        found[view] = faults(visitor)

    assert found == {view: [] for view in VIEWS}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_a_refusal(visit: Visit, stack: Stack, scheme: str) -> None:
    """A wrong token and a refused member of a batch are told accessibly."""
    visitor = visit(f"{stack.url}/", scheme=scheme).open("models")
    visitor.expects_status(401)
    visitor.page.get_by_label("Admin token").fill("wrong")
    visitor.button("Reload").click()
    expect(visitor.view("models")).to_contain_text("(401)")
    refused = faults(visitor)
    visitor.open()
    visitor.has_sample()
    visitor.cell(1, 0).fill("abc")
    visitor.batch()

    assert [*refused, *faults(visitor)] == []
