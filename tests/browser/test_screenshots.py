"""Pictures of every view, in a folder that is not kept: for people to look at."""

import struct

import pytest

from tests.browser.conftest import Visit
from tests.browser.test_accessibility import VIEWS, fill
from tests.server import ROOT
from tests.stack.native import Stack

FOLDER = ROOT / "tests" / "browser" / "screenshots"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("view", VIEWS)
def test_a_picture_of_a_view(
    visit: Visit, stack: Stack, view: str, width: int, scheme: str
) -> None:
    """The whole view with content is a PNG as wide as the window."""
    visitor = visit(f"{stack.url}/", width=width, scheme=scheme).open(view)
    fill(visitor, view)
    path = FOLDER / f"{view}-{width}-{scheme}.png"
    visitor.page.screenshot(path=path, full_page=True)

    assert struct.unpack(">I", path.read_bytes()[16:20]) == (width,)
