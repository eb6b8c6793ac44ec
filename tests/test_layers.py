"""The direction of imports, as a table; in short: web → request_batch → pipeline → {cache, engine}.

A room is a folder of `app/`, or a file directly in it. Each edge that the table does not have is
a fault, named by file, line and import.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.server import ROOT, run_python

APP = ROOT / "app"

ALLOWED = {
    "errors": set(),
    "settings": set(),
    "lifecycle": set(),
    "log": set(),
    "trace_context": set(),
    "hang_watch": set(),
    "tracing": {"call", "http", "log", "metrics", "trace_context"},
    "metrics": {"errors"},
    "http": {"errors"},
    "cache": {"errors"},
    "engine": {"errors"},
    "call": {"engine", "errors"},
    "pipeline": {"call", "cache", "engine", "errors"},
    "request_batch": {"pipeline", "call", "engine", "errors"},
    "announcements": {"log"},
    "reload": {"announcements", "engine", "errors", "log"},
    "disproofs": {"engine", "log"},
    "api_keys": {"log"},
    "web": {
        "pipeline", "request_batch", "call", "reload", "engine", "http", "errors", "lifecycle",
        "log", "metrics", "trace_context", "api_keys",
    },
    "main": {
        "web", "http", "pipeline", "request_batch", "reload", "disproofs", "cache", "engine",
        "errors", "lifecycle", "log", "metrics", "settings", "tracing", "api_keys",
    },
    "command": {"main", "http", "settings", "log", "errors", "api_keys", "engine"},
    "__main__": {"command", "engine", "hang_watch"},
}  # fmt: skip
"""What each room may import of the others; itself and the version in `app` go without saying."""

THIRD_PARTIES = {
    "errors": set(),
    "settings": {"msgspec"},
    "lifecycle": set(),
    "log": {"structlog", "msgspec"},
    "trace_context": set(),
    "hang_watch": set(),
    "tracing": {"opentelemetry"},
    "metrics": {"prometheus_client"},
    "http": {"httptools", "msgspec"},
    "cache": {"msgspec", "redis", "hiredis"},
    "engine": {"msgspec", "numpy", "onnxruntime", "onnxruntime_extensions", "onnx"},
    "call": {"msgspec"},
    "pipeline": {"msgspec"},
    "request_batch": {"msgspec"},
    "announcements": {"msgspec"},
    "reload": {"msgspec"},
    "disproofs": {"msgspec"},
    "api_keys": set(),
    "web": {"litestar", "msgspec", "prometheus_client"},
    "main": {"litestar", "onnxruntime"},
    "command": {"msgspec", "uvloop"},
    "__main__": set(),
}
"""What each room may import of what is installed."""

PURE = ("litestar", "redis", "prometheus_client", "httptools", "structlog", "uvloop")
"""What the core runs without."""

TALK_TO_REDIS = {
    *("redis", "redis_lanes", "redis_link", "redis_look_ups", "redis_reader", "redis_wire"),
    *("broadcast", "wanted"),
}
"""Modules of `cache/` that import its client; `main` imports them where there is a REDIS_URL."""


class Import(NamedTuple):
    """One import of one file."""

    path: Path
    line: int
    name: str

    @property
    def room(self) -> str:
        """The room that imports."""
        return self.path.relative_to(APP).parts[0].removesuffix(".py")

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: imports {self.name}"


def imports() -> Iterator[Import]:
    """Every import in `app/`, also those inside functions, by full name."""
    for path in sorted(APP.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(path, node.lineno, alias.name)
            elif isinstance(node, ast.ImportFrom):
                yield from (Import(path, node.lineno, name) for name in _names(path, node))


def _names(path: Path, node: ast.ImportFrom) -> Iterator[str]:
    """Full names of `from … import …`; `from app import x` may mean the module `app.x`."""
    module = node.module or ""
    if node.level:
        package = ("app", *path.relative_to(APP).parent.parts)
        module = ".".join([*package[: len(package) - node.level + 1], module]).rstrip(".")
    for alias in node.names:
        yield f"app.{alias.name}" if module == "app" else module


IMPORTS = list(imports())


def rooms() -> set[str]:
    """Every room that there is."""
    files = {path.stem for path in APP.glob("*.py")} - {"__init__"}
    return files | {path.parent.name for path in APP.glob("*/__init__.py")}


def test_every_room_is_in_the_tables() -> None:
    """A new room has to be given its place before it is used."""
    assert rooms() == ALLOWED.keys() == THIRD_PARTIES.keys()


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
        if found.name.split(".")[0] == "app" and found.name != "app.__version__":
            room = found.name.split(".")[1]
            if room != found.room and room not in ALLOWED.get(found.room, set()):
                faults.append(f"{found}, which {found.room} may not")

    assert not faults, "\n".join(faults)


def test_third_parties_stay_in_their_rooms() -> None:
    """No room imports a package that the table does not give it."""
    faults = []
    for found in IMPORTS:
        package = found.name.split(".")[0]
        known = package in sys.stdlib_module_names or package == "app"
        if not known and package not in THIRD_PARTIES.get(found.room, set()):
            faults.append(f"{found}, which {found.room} may not")

    assert not faults, "\n".join(faults)


def test_the_fault_names_file_line_and_import() -> None:
    """A message of these tests leads to the place."""
    found = Import(APP / "engine" / "codec.py", 7, "litestar")

    assert str(found) == "app/engine/codec.py:7: imports litestar"
    assert found.room == "engine"


def test_the_walk_sees_imports() -> None:
    """The imports that everybody knows of are found, so an empty list of faults means something."""
    seen = {(found.room, found.name) for found in IMPORTS}

    assert ("pipeline", "app.engine.codec") in seen
    assert ("web", "litestar") in seen
    assert ("command", "app.settings") in seen


@pytest.mark.parametrize("room", ["engine", "cache"])
def test_the_core_runs_without_the_rest(room: str) -> None:
    """In a bare interpreter the modules of the core bring in no web, no Redis and no metrics."""
    files = {path.stem for path in (APP / room).glob("[!_]*.py")} - TALK_TO_REDIS
    modules = [f"app.{room}.{name}" for name in sorted(files)]
    script = f"import sys, {', '.join(modules)}; print(*{{n.split('.')[0] for n in sys.modules}})"

    done = run_python(script)

    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) & set(PURE) == set()


def test_the_hot_path_runs_without_the_web() -> None:
    """`app.pipeline` needs the core and nothing else of the house."""
    done = run_python("import sys, app.pipeline; print(*sys.modules)")

    loaded = set(done.stdout.split())
    assert {name for name in loaded if name.split(".")[0] in PURE} == set()
    assert {name.split(".")[1] for name in loaded if name.startswith("app.")} == {
        "pipeline", "call", "cache", "engine", "errors"
    }  # fmt: skip


def test_a_lone_server_does_not_load_the_redis_client() -> None:
    """Without a REDIS_URL its 44 ms and 6 MB are not paid."""
    script = "import sys; from app.main import create_app; create_app(); print(*sys.modules)"

    done = run_python(script)

    assert done.returncode == 0, done.stderr
    assert {"redis", "hiredis"} & set(done.stdout.split()) == set()


def test_the_server_does_not_load_the_onnx_package() -> None:
    """Graphs are read in a process of their own, so its 60 ms and 11 MB are not paid."""
    done = run_python("import sys, app.command; print(*sys.modules)")

    assert done.returncode == 0, done.stderr
    assert "onnx" not in done.stdout.split()
