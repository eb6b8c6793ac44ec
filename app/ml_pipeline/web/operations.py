"""All operations, and whom each path is for.

A path is for clients unless an operation says otherwise, so a route that is added, and each other
spelling of a path that is there, is closed until it is opened.
"""

import re
from collections.abc import Iterable

from ml_pipeline.web import (
    dashboard,
    docs,
    health,
    infer,
    inference_protocol,
    inference_statistics,
    model_repository,
    models,
    predict,
)
from ml_pipeline.web.operation import Audience, Operation

OPERATIONS: tuple[Operation, ...] = (
    *predict.OPERATIONS,
    *models.OPERATIONS,
    *health.OPERATIONS,
    *docs.OPERATIONS,
    *dashboard.OPERATIONS,
    *inference_protocol.OPERATIONS,
    *inference_statistics.OPERATIONS,
    *infer.OPERATIONS,
    *model_repository.OPERATIONS,
)
"""In the order of the OpenAPI document."""


class Audiences:
    """Whom the paths of some operations are for.

    Args:
        operations: A path is for the same audience by each of its methods.
    """

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._exact: dict[str, Audience] = {}
        self._pages: dict[str, Audience] = {}
        templates: dict[Audience, list[str]] = {}
        for operation in operations:
            for path in map(_bare, operation.paths):
                if operation.with_files:
                    self._pages[path + "/"] = operation.audience
                if "{" in path:
                    templates.setdefault(operation.audience, []).append(_template(path))
                else:
                    self._exact[path] = operation.audience
        templates.pop("client", None)  # what fits no other template is for clients
        self._named = [
            (re.compile("|".join(each), re.DOTALL).fullmatch, audience)
            for audience, each in templates.items()
        ]
        self._beginnings = tuple(self._pages)

    def of(self, path: str) -> Audience:
        """Tell whom a path, percent-decoded, is for. Slashes at its end make no difference."""
        bare = _bare(path)
        if (audience := self._exact.get(bare)) is not None:
            return audience
        if path.startswith(self._beginnings):
            return next(self._pages[page] for page in self._beginnings if path.startswith(page))
        for fits, audience in self._named:
            if fits(bare):
                return audience
        return "client"


def _bare(path: str) -> str:
    return path.rstrip("/") or "/"


def _template(path: str) -> str:
    """Write a path with names as a regular expression; a name may hold anything, slashes too."""
    return ".+".join(map(re.escape, re.split(r"{\w+}", path)))


audience_of = Audiences(OPERATIONS).of
"""Tells whom a path of this server is for."""
