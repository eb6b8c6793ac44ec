"""Operations: whom each path is for, which handlers are guarded, and that none is forgotten."""

from inspect import isclass, iscoroutinefunction
from typing import Any, cast

import pytest
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler, get

from ml_pipeline.lifecycle import Lifecycle
from ml_pipeline.web import infer, predict
from ml_pipeline.web.admin import guard_admin_handlers
from ml_pipeline.web.app import build_litestar
from ml_pipeline.web.operation import JSON, Audience, Operation
from ml_pipeline.web.operations import OPERATIONS, Audiences, audience_of
from ml_pipeline.web.serves import serves, serves_files
from tests.fakes import idle_metrics

ADMIN = {
    "/models/reload",
    "/v2/repository/models/{name}/load",
    "/v2/repository/models/{name}/unload",
}
"""Routes that change what is served."""

PATHS: list[tuple[str, Audience]] = [
    ("/", "open"),
    ("//", "open"),
    ("/health", "open"),
    ("/health//", "open"),
    ("//health", "client"),
    ("/healthy", "client"),
    ("/health/else", "client"),
    ("/ui", "open"),
    ("/ui/", "open"),
    ("/ui/js/main.js", "open"),
    ("/ui/a\nb", "open"),
    ("/uix", "client"),
    ("/docs/assets/swagger.js", "open"),
    ("/redoc/", "open"),
    ("/redoc/else", "client"),
    ("/v2/", "open"),
    ("/v2/health/ready/", "open"),
    ("/v2/health/ready/models", "client"),
    ("/models/reload/", "admin"),
    ("/models/reload/else", "client"),
    ("/models/reloaded", "client"),
    ("/v2/repository/models/a/b/load", "admin"),
    ("/v2/repository/models/a/unload//", "admin"),
    ("/v2/repository/models/a\nb/load", "admin"),
    ("/v2/repository/models//load", "client"),
    ("/v2/repository/models/a/reload", "client"),
    ("/v2/repository/models/a/load/else", "client"),
    ("else/v2/repository/models/a/load", "client"),
    ("/v2/models/load", "client"),
    ("/openapixjson", "client"),
    ("", "open"),
    ("else", "client"),
]
"""Paths, percent-decoded, with whom they are for."""


def litestar() -> Litestar:
    """The application as it is built, with nothing behind it."""
    nothing = cast(Any, None)
    return build_litestar(
        Lifecycle(),
        nothing,
        nothing,
        idle_metrics(),
        list,
        admin_token="",
        production=False,
        cors_origins=(),
        max_body_bytes=1,
    )


def handlers() -> list[tuple[str, str, HTTPRouteHandler]]:
    """Method, path and handler of all that Litestar answers, but for its own OPTIONS."""
    return [
        (method.lower(), route.path_format, handler)
        for route in litestar().routes
        for handler in cast(Any, route).route_handlers
        for method in handler.http_methods
        if method != "OPTIONS"
    ]


def hot_paths() -> list[str]:
    """Paths of all that is answered without Litestar."""
    members = [member for module in (predict, infer) for member in vars(module).values()]
    classes = [cast(Any, member) for member in members if isclass(member)]
    return [each.path for each in classes if iscoroutinefunction(getattr(each, "answer", None))]


@pytest.mark.parametrize(("path", "audience"), PATHS)
def test_whom_a_path_is_for(path: str, audience: Audience) -> None:
    """Only what an operation opens, or gives to admins, is not for clients."""
    assert audience_of(path) == audience


@pytest.mark.parametrize("name", ["a", "a/b", "/a", "versions/1", "a/ready", "health", "ü"])
def test_a_path_is_for_whom_its_operation_is(name: str) -> None:
    """No name makes the path of one operation that of another audience's."""
    wrong = [
        path
        for operation in OPERATIONS
        for path in operation.paths
        if audience_of(path.replace("{name}", name).replace("{version}", name))
        != operation.audience
    ]

    assert wrong == []


def test_an_operation_that_says_nothing_is_not_open() -> None:
    """A route that is added is closed until it is opened."""
    added = Operation("get", "/added", "New", {JSON: str})

    assert added.audience == "client"
    assert Audiences([added]).of("/added") == "client"


def test_each_path_has_one_audience() -> None:
    """A path is for the same audience by each of its methods."""
    said: dict[str, set[Audience]] = {}
    for operation in OPERATIONS:
        said.setdefault(operation.path, set()).add(operation.audience)

    assert {path for path, audiences in said.items() if len(audiences) > 1} == set()


def test_admin_operations_are_those_that_change_what_is_served() -> None:
    """They are named here, so that none is lost on the way."""
    assert {each.path for each in OPERATIONS if each.audience == "admin"} == ADMIN


def test_admin_handlers_alone_have_a_guard() -> None:
    """Each handler of an admin operation has the guard, and no other."""
    guarded = {path for _, path, handler in handlers() if handler.guards}

    assert guarded == ADMIN


def test_a_handler_of_no_operation_is_guarded() -> None:
    """Who registers a handler by other means than an operation does not open it to anybody."""

    @get("/added")
    async def added() -> None: ...

    async def guard(*_: object) -> None: ...

    guard_admin_handlers([added], guard)

    assert added.guards == [guard]


def test_a_handler_has_the_paths_of_its_operation() -> None:
    """A name is one part of Litestar's path, and the path with a version is another path."""
    operation = Operation("get", "/a/{name}/b", "A", {JSON: str}, versioned=True)

    @serves(operation)
    def handler(name: str, version: str | None = None) -> str:
        return name

    assert handler.paths == {"/a/{name:str}/b", "/a/{name:str}/versions/{version:str}/b"}


def test_files_have_paths_below_their_page() -> None:
    """A page may end in a slash."""
    page = Operation("get", "/page/", "A page", {JSON: str}, audience="open", with_files=True)

    @serves_files(page, "{path:path}")
    async def file(path: str) -> str:
        return path

    assert file.paths == {"/page/{path:path}"}


def test_every_handler_is_an_operations() -> None:
    """What can be called is in the list, the hot routes and Litestar's alike, but for files."""
    listed = {(each.method, path) for each in OPERATIONS for path in each.paths}
    pages = tuple(each.path.rstrip("/") + "/" for each in OPERATIONS if each.with_files)
    served = {(method, path) for method, path, _ in handlers()}
    served |= {("post", path) for path in hot_paths()}

    assert {"/predict", "/predict/batch", "/v2/models/{name}/infer"} <= {path for _, path in served}
    left = {(method, path) for method, path in served - listed if not path.startswith(pages)}
    assert left - {("get", "/ui")} == set()  # as Litestar writes `/ui/`
