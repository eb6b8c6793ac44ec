"""Names with slashes, of models, versions and tensors, under every route of `/v2`."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton

from tests import models
from tests.models import graph, node
from tests.models import tensor as described
from tests.oip.conftest import tensor
from tests.server import Server

NAME, VERSION, QUOTED = "org/bert", "2024/05", "org%2Fbert"
ROW = np.array([[1, 2, 3]], np.float32)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A model whose name, version and tensors hold slashes, beside one of a plain name."""
    folder = tmp_path_factory.mktemp("names")
    (folder / "bert.onnx").write_bytes(
        graph(
            [node("Mul", ["in/x:0", "two"], ["out/y"])],
            [described("in/x:0", "float32", [None, 3])],
            [described("out/y", "float32", [None, 3])],
            two=np.array(2, np.float32),
        )
    )
    names = {"model_name": NAME, "model_version": VERSION}
    (folder / "bert.json").write_text(json.dumps(names))
    (folder / "plain.onnx").write_bytes(models.scale_model())
    with Server(folder) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    """Triton's client, which leaves slashes as they are."""
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as opened:
        yield opened


PLACES = [
    f"{name}{version}"
    for name in (NAME, QUOTED)
    for version in ("", f"/versions/{VERSION}", "/versions/2024%2F05")
]


@pytest.mark.parametrize("rest", ["", "/", "//", "/ready", "/config", "/stats", "/stats///"])
@pytest.mark.parametrize("place", PLACES)
def test_every_route_finds_the_name(place: str, rest: str, server: Server) -> None:
    """Percent-encoded or not."""
    answer = server.client.get(f"/v2/models/{place}{rest}")

    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told.get("model_stats", [told])[0]["name"] == NAME


@pytest.mark.parametrize("place", PLACES)
def test_infer_finds_the_name(place: str, server: Server) -> None:
    """Likewise; its tensors' names have slashes, too."""
    body = {"inputs": [{"name": "in/x:0", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]}

    answer = server.client.post(f"/v2/models/{place}/infer", json=body)

    assert answer.status_code == 200, answer.text
    (output,) = answer.json()["outputs"]
    assert (output["name"], output["data"]) == ("out/y", [2, 4, 6])


@pytest.mark.parametrize("name", [NAME, QUOTED])
def test_load_and_unload_find_the_name(name: str, server: Server) -> None:
    """And nothing else is touched."""
    statuses = [
        server.client.post(f"/v2/repository/models/{name}/{action}").status_code
        for action in ("unload", "load")
    ]

    assert statuses == [200, 200]
    assert server.client.get(f"/v2/models/{QUOTED}/ready").status_code == 200


def test_tritons_client_finds_the_name(client: Any) -> None:
    """In all that it asks for."""
    given = tensor("in/x:0", ROW, binary=True)
    answer = client.infer(NAME, [given], model_version=VERSION)

    assert answer.as_numpy("out/y").tolist() == [[2, 4, 6]]
    assert client.is_model_ready(NAME, VERSION)
    assert client.get_model_metadata(NAME)["versions"] == [VERSION]
    assert client.get_model_config(NAME)["name"] == NAME
    assert client.get_inference_statistics(NAME)["model_stats"][0]["version"] == VERSION
    client.unload_model(NAME)
    client.load_model(NAME)


@pytest.mark.parametrize(
    "path",
    [
        *("/v2/models/org", "/v2/models/org/bert/more", "/v2/models/org%252Fbert"),
        *("/v2/models/org/bert/versions/1", "/v2/models/plain/versions/2024/05/ready"),
    ],
)
def test_other_names_are_not_found(path: str, server: Server) -> None:
    """A part of a name is none, and nothing is decoded twice."""
    assert server.client.get(path).status_code == 404


def test_endpoints_are_counted_by_their_template(server: Server) -> None:
    """Whatever names there are."""
    server.client.get(f"/v2/models/{NAME}/config")

    metrics = server.client.get("/metrics").text
    assert 'endpoint="/v2/models/{name}/config"' in metrics
    assert NAME not in metrics.replace(f'model="{NAME}"', "")


# Numbers, and sizes of 0, as clients write them.


def test_sizes_of_0_are_answered(server: Server) -> None:
    """No rows, in JSON: `data` is an empty list."""
    body = {"inputs": [{"name": "x", "shape": [0, 3], "datatype": "FP32", "data": []}]}

    answer = server.client.post("/v2/models/plain/infer", json=body)

    (output,) = answer.json()["outputs"]
    assert (output["shape"], output["data"]) == ([0, 3], [])


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf{}", "{}".encode("utf-16")])
@pytest.mark.parametrize("path", ["/v2/models/plain/infer", "/v2/repository/index", "/predict"])
def test_a_byte_order_mark_is_told(path: str, content: bytes, server: Server) -> None:
    """It cannot be seen where JSON is edited."""
    answer = server.client.post(
        path,
        params={"model": "plain"},
        content=content,
        headers={"Content-Type": "application/json"},
    )

    told = answer.json()
    words = "byte order mark" if content[0] == 0xEF else "UTF-16"
    assert answer.status_code == 400
    assert words in told.get("error", told.get("detail", ""))


@pytest.mark.parametrize(
    "path",
    [
        *("/v2//models/plain", "//v2/models/plain", "/v2/models//plain", "/v2//models//plain"),
        *("/v2//models/%2Fplain", "/v2/models%2F%2Fplain", "/v2/models/plain%2F"),
        *("/v2/models/org//bert", "/v2/models/org%2F%2Fbert", "/v2/models/plain//ready"),
        "/v2/models/plain/versions//1",
    ],
)
def test_slashes_that_are_no_end_count(path: str, server: Server) -> None:
    """`/plain`, `plain/` and `org//bert` are models of other names, which nobody has."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with server.connect(10.0) as connection:
        connection.sendall(request.encode())
        status = connection.recv(65_536)[:12]

    assert status == b"HTTP/1.1 404"
