"""How the modules of the HTTP front lean on each other."""

import pytest

from tests.test_layers import APP, IMPORTS

FRONT = APP / "fronts" / "http"
PACKAGE = "ml_pipeline.fronts.http."
WITHOUT_IO = {"assembler", "events", "head", "hosts", "kept_head", "message", "parser"}
IO = {"asyncio", "selectors", "socket", "threading", "time", "uvloop"}


def imports_of(name: str) -> set[str]:
    """Full names of what a module imports, also where types are checked alone."""
    return {found.name for found in IMPORTS if found.path == FRONT / f"{name}.py"}


def neighbours_of(name: str) -> set[str]:
    """Those among them that are modules of the front."""
    return {found.removeprefix(PACKAGE) for found in imports_of(name) if PACKAGE in found}


def test_no_module_leads_back_to_itself() -> None:
    """There is always one that imports none of the others that are left."""
    left = {path.stem: neighbours_of(path.stem) for path in FRONT.glob("[!_]*.py")}
    while left:
        free = {name for name, needs in left.items() if not needs & left.keys()}
        assert free, f"a circle among {', '.join(sorted(left))}"
        left = {name: needs for name, needs in left.items() if name not in free}


@pytest.mark.parametrize("name", sorted(WITHOUT_IO))
def test_the_parser_knows_no_socket_and_no_clock(name: str) -> None:
    """Nor does anything that it is made of."""
    assert neighbours_of(name) <= WITHOUT_IO
    assert imports_of(name) & IO == set()
