"""The direction of imports, by the table of `docs/architecture.md`.

A room is a folder of modules, or a module beside the rooms. Each import that the table does not
have is a fault, named by file, line and import.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.server import ROOT, run_python

APP = ROOT / "app" / "ml_pipeline"

PACKAGE = "ml_pipeline"
PAGE = ROOT / "docs" / "architecture.md"


def _table() -> dict[str, tuple[set[str], set[str]]]:
    """What each room may import: of the other rooms, and of what is installed."""
    row = re.compile(
        r"^\| `(?P<room>[\w.]+)` \|[^|]*\|(?P<rooms>[^|]*)\|(?P<packages>[^|]*)\|$", re.M
    )
    return {
        found["room"]: (
            set(re.findall(r"[\w.]+", found["rooms"])),
            set(re.findall(r"\w+", found["packages"])),
        )
        for found in row.finditer(PAGE.read_text())
    }


TABLE = _table()
ALLOWED = {room: rooms for room, (rooms, _) in TABLE.items()}
THIRD_PARTIES = {room: packages for room, (_, packages) in TABLE.items()}

PURE = ("litestar", "redis", "prometheus_client", "httptools", "structlog", "uvloop")
"""What the core runs without."""

TALK_TO_REDIS = {
    *("redis", "redis_endpoint", "redis_lanes", "redis_link"),
    *("redis_lookups", "redis_reader", "redis_wire"),
}
"""Modules of `cache/` that import its client; `main` imports them where there is a REDIS_URL."""


def room_of(module: str) -> str:
    """The room of a module, which is named from the package on: the longest name in the table."""
    names = module.split(".")
    heads = (".".join(names[:length]) for length in range(len(names), 0, -1))
    return next((head for head in heads if head in TABLE), names[0])


class Import(NamedTuple):
    """One import of one file."""

    path: Path
    line: int
    name: str

    @property
    def room(self) -> str:
        """The room that imports."""
        return room_of(".".join(self.path.relative_to(APP).with_suffix("").parts))

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: imports {self.name}"


def imports() -> Iterator[Import]:
    """Every import in the package, also those inside functions, by full name."""
    for path in sorted(APP.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(path, node.lineno, alias.name)
            elif isinstance(node, ast.ImportFrom):
                yield from (Import(path, node.lineno, name) for name in _names(path, node))


def _names(path: Path, node: ast.ImportFrom) -> Iterator[str]:
    """Full names of `from … import …`; `from ml_pipeline import x` may mean a module `x`."""
    module = node.module or ""
    if node.level:
        package = (PACKAGE, *path.relative_to(APP).parent.parts)
        module = ".".join([*package[: len(package) - node.level + 1], module]).rstrip(".")
    for alias in node.names:
        yield f"{PACKAGE}.{alias.name}" if module == PACKAGE else module


IMPORTS = list(imports())


def rooms() -> set[str]:
    """Every room that there is: folders that hold modules of their own, and what lies beside."""
    files = {path.stem for path in APP.glob("*.py")} - {"__init__"}
    folders = {path.parent.relative_to(APP) for path in APP.glob("*/**/[!_]*.py")}
    return files | {room_of(".".join(folder.parts)) for folder in folders}


def test_every_room_is_in_the_table() -> None:
    """A new room has to be given its place before it is used."""
    assert rooms() == TABLE.keys()


def test_the_table_has_no_circle() -> None:
    """What a room may import never leads back to it."""
    left = dict(ALLOWED)
    while left:
        free = {room for room, needs in left.items() if not needs & left.keys()}
        assert free, f"a circle among {', '.join(left)}"
        left = {room: needs for room, needs in left.items() if room not in free}


def test_imports_point_one_way() -> None:
    """No room imports what the table does not give it."""
    faults = []
    for found in IMPORTS:
        package, _, module = found.name.partition(".")
        if package == PACKAGE and module != "__version__":
            room = room_of(module)
            if room != found.room and room not in ALLOWED.get(found.room, set()):
                faults.append(f"{found}, which {found.room} may not")

    assert not faults, "\n".join(faults)


def test_third_parties_stay_in_their_rooms() -> None:
    """No room imports a package that the table does not give it."""
    faults = []
    for found in IMPORTS:
        package = found.name.split(".")[0]
        known = package in sys.stdlib_module_names or package == PACKAGE
        if not known and package not in THIRD_PARTIES.get(found.room, set()):
            faults.append(f"{found}, which {found.room} may not")

    assert not faults, "\n".join(faults)


def test_the_fault_names_file_line_and_import() -> None:
    """A message of these tests leads to the place."""
    found = Import(APP / "engine" / "wire" / "codec.py", 7, "litestar")

    assert str(found) == "app/ml_pipeline/engine/wire/codec.py:7: imports litestar"
    assert found.room == "engine.wire"


def test_the_walk_sees_imports() -> None:
    """The imports that everybody knows of are found, so an empty list of faults means something."""
    seen = {(found.room, found.name) for found in IMPORTS}

    assert ("pipeline", "ml_pipeline.engine.wire.codec") in seen
    assert ("web", "litestar") in seen
    assert ("command", "ml_pipeline.settings") in seen


@pytest.mark.parametrize("room", ["engine", "cache"])
def test_the_core_runs_without_the_rest(room: str) -> None:
    """In a bare interpreter the modules of the core bring in no web, no Redis and no metrics."""
    paths = [path for path in (APP / room).rglob("[!_]*.py") if path.stem not in TALK_TO_REDIS]
    parts = [path.relative_to(APP).with_suffix("").parts for path in sorted(paths)]
    modules = [".".join((PACKAGE, *names)) for names in parts]
    script = f"import sys, {', '.join(modules)}; print(*{{n.split('.')[0] for n in sys.modules}})"

    done = run_python(script)

    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) & set(PURE) == set()


def test_the_hot_path_runs_without_the_web() -> None:
    """`ml_pipeline.pipeline.predictor` needs the core and nothing else of the house."""
    done = run_python("import sys, ml_pipeline.pipeline.predictor; print(*sys.modules)")

    loaded = set(done.stdout.split())
    assert {name for name in loaded if name.split(".")[0] in PURE} == set()
    assert {name.split(".")[1] for name in loaded if name.startswith(f"{PACKAGE}.")} == {
        "pipeline", "protocols", "cache", "engine", "errors", "turn_collector"
    }  # fmt: skip


def test_a_lone_server_does_not_load_the_redis_client() -> None:
    """Without a REDIS_URL nothing is paid for it."""
    script = (
        "import sys; from ml_pipeline.build import create_app; create_app(); print(*sys.modules)"
    )

    done = run_python(script)

    assert done.returncode == 0, done.stderr
    assert {"redis", "hiredis"} & set(done.stdout.split()) == set()


def test_the_server_does_not_load_the_onnx_package() -> None:
    """Graphs are read in a process of their own, so its 60 ms and 11 MB are not paid."""
    done = run_python("import sys, ml_pipeline.command; print(*sys.modules)")

    assert done.returncode == 0, done.stderr
    assert "onnx" not in done.stdout.split()
