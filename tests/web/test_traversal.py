"""A name in a request is a name: whatever it is, no file outside MODEL_PATH is opened for it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.server import Server, exchange
from tests.web.samples import WINE, write_wine

TOKEN = "the-token-of-an-admin"
WATCHED = "import sys, runpy; sys.addaudithook(lambda event, told: event == 'open' and "
WATCHED += "print('opened', repr(told[0]), file=sys.stderr, flush=True)); "
WATCHED += "runpy.run_module('ml_pipeline', run_name='__main__', alter_sys=True)"
"""Starts the server so that it tells each file that Python opens."""

NAMES = [
    "../outside",
    "..%2Foutside",
    "..%2foutside%2f1%2fmodel",
    "%2e%2e%2foutside",
    "..%5coutside",
    "..%252foutside",
    ".",
    "..",
    "%2e%2e",
    "../../etc/passwd",
    "..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "%2fetc%2fpasswd",
    "%2Fproc%2Fself%2Fenviron",
    "wine%00",
    "wine%2f..%2f..%2foutside",
    "wine.onnx",
    "file:%2F%2F%2Fetc%2Fpasswd",
]
"""What a request says in the place of a model's name; `outside` is a model beside MODEL_PATH."""

ROUTES = [
    "GET /models/info?model={}",
    "GET /sample?model={}",
    "POST /predict?model={}",
    "POST /predict/batch?model={}",
    "GET /v2/models/{}",
    "GET /v2/models/{}/ready",
    "GET /v2/models/{}/config",
    "GET /v2/models/{}/stats",
    "POST /v2/models/{}/infer",
    "GET /v2/models/wine/versions/{}",
    "POST /v2/models/wine/versions/{}/infer",
    "POST /v2/repository/models/{}/load",
    "POST /v2/repository/models/{}/unload",
    "GET /ui/{}",
    "GET /docs/assets/{}",
]


class Watched(NamedTuple):
    """A server that tells what it opens, and what it may not open."""

    server: Server
    outside: Path


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Serves a folder of one model; beside it lies another, in each form that a model has."""
    top = tmp_path_factory.mktemp("traversal")
    outside = top / "outside"
    write_wine(outside, "1", "outside")
    (outside / "1").mkdir()
    shutil.copy(WINE, outside / "1" / "model.onnx")
    shutil.copy(WINE, top / "outside.onnx")
    write_wine(top / "models", "1")
    with Server(top / "models", command=("-c", WATCHED), ADMIN_TOKEN=TOKEN) as server:
        yield Watched(server, outside)


def send(server: Server, route: str, name: str) -> int:
    """Send it as it is written; clients would tidy up the path."""
    method, path = route.format(name).split(" ", 1)
    body = b'{"data":[[1,2,3,4,5,6,7,8,9,10]],"inputs":[]}' if "infer" in path else b"{}"
    body = b"" if "repository" in path or method == "GET" else body
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    return exchange(server, head.encode() + body).status


@pytest.mark.parametrize("route", ROUTES)
def test_a_path_is_no_name(watched: Watched, route: str) -> None:
    """Each is a 404, or a 400 or 422 where it is no name at all, and nothing outside is opened."""
    before = len(watched.server.stderr)
    statuses = {name: send(watched.server, route, name) for name in NAMES}
    opened = watched.server.stderr[before:]

    allowed = {400, 404, 405, 422}
    assert {name: status for name, status in statuses.items() if status not in allowed} == {}
    assert [word for word in ("outside", "etc/passwd", "environ", "..") if word in opened] == []


def test_nothing_was_loaded_or_taken_out(watched: Watched) -> None:
    """After all that the one model is served, and the other is not known to the repository."""
    client = watched.server.client
    served = [model["model_name"] for model in client.get("/models").json()["models"]]
    index = client.post("/v2/repository/index").json()

    assert served == ["wine"]
    assert [entry["name"] for entry in index] == ["wine"]


def test_what_is_opened_is_seen(watched: Watched) -> None:
    """A load of the model that is there opens its file, so that silence means something."""
    before = len(watched.server.stderr)
    assert send(watched.server, "POST /v2/repository/models/{}/load", "wine") == 200

    assert "models/wine.onnx" in watched.server.stderr[before:]
