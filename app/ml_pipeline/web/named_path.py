"""Paths of the Open Inference Protocol, in which names of models and versions may hold slashes.

Clients send a slash in a name as `%2F` or, as Triton's and KServe's do, unescaped. A route of
Litestar takes a name as one segment, so `routed_path` escapes the name into one, and handlers read
it back with `decoded`. Where a path can be read in two ways, the shorter name is meant: a model
called `a/versions/b` has to be asked for as `a%2Fversions%2Fb`.

Any number of slashes at the end of a path makes no difference. Elsewhere each slash counts, so they
are escaped, too: Litestar takes several for one, and would find `a` where `/a` was asked for.
"""

import re
from urllib.parse import quote, unquote, unquote_to_bytes

_model = re.compile(rb"/v2/models/(.+?)(?:/versions/(.+?))?(/ready|/config|/stats)?").fullmatch
_control = re.compile(rb"/v2/repository/models/(.+)/((?:un)?load)").fullmatch


def routed_path(path: str, raw_path: bytes) -> str:
    """Write a path so that each name in it is one segment.

    Args:
        path: Percent-decoded; returned where the raw path has no name in it.
        raw_path: As sent.
    """
    raw_path = raw_path.rstrip(b"/")
    if found := _model(raw_path):
        name, version, rest = found.groups(b"")
        versions = f"/versions/{_segment(version)}" if version else ""
        return f"/v2/models/{_segment(name)}{versions}{rest.decode()}"
    if found := _control(raw_path):
        name, action = found.groups()
        return f"/v2/repository/models/{_segment(name)}/{action.decode()}"
    inner = path.rstrip("/")
    return inner.replace("//", "/%2F") + path[len(inner) :]


def decoded(segment: str) -> str:
    """Read a name that `routed_path` has written."""
    return unquote(segment)


def _segment(raw: bytes) -> str:
    return quote(unquote_to_bytes(raw).decode("utf-8", "replace"), safe="")
