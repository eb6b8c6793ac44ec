"""Registers a handler with Litestar for an operation: under its paths, and for its audience."""

import re
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any

from litestar import get, post
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler

from ml_pipeline.web.operation import Audience, Operation

Decorator = Callable[[Callable[..., Any]], HTTPRouteHandler]

_audience = "audience"
"""Key of a handler's `opt`."""


def serves(operation: Operation, *, media_type: str | None = None) -> Decorator:
    """Make the decorator of the function that answers an operation.

    A plain function runs on the event loop, so it must not wait.

    Args:
        operation: Answered.
        media_type: Of answers that do not name their own; None = JSON.
    """
    paths = [re.sub(r"{(\w+)}", r"{\1:str}", path) for path in operation.paths]
    return _registered(operation, paths, media_type)


def serves_files(page: Operation, below: str) -> Decorator:
    """Make the decorator of the function that answers the files of a page.

    Args:
        page: One that has files.
        below: Litestar's template of their paths, from the page on.
    """
    return _registered(page, [f"{page.path.rstrip('/')}/{below}"], None)


def _registered(operation: Operation, paths: list[str], media_type: str | None) -> Decorator:
    route = {"get": get, "post": post}[operation.method]

    def decorate(function: Callable[..., Any]) -> HTTPRouteHandler:
        handler: HTTPRouteHandler = route(
            paths,
            media_type=media_type,
            opt={_audience: operation.audience},
            status_code=200,
            sync_to_thread=None if iscoroutinefunction(function) else False,
        )(function)
        return handler

    return decorate


def audience_of_handler(handler: BaseRouteHandler) -> Audience:
    """Tell whom a handler is for; one that was registered by other means is for admins alone."""
    audience: Audience = handler.opt.get(_audience, "admin")
    return audience
