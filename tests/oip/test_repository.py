"""Many models and versions at once: the index, loading and unloading, settings of a model's own."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests import models
from tests.oip.conftest import optional_model, tensor
from tests.server import Server

ROW = np.array([[1, 2, 3]], np.float32)
TOKEN = "let-me-in"


def put(folder: Path, name: str, version: str, factor: float, **metadata: Any) -> None:
    """Write a version of a model, `y = x * factor`."""
    place = folder / name / version
    place.mkdir(parents=True, exist_ok=True)
    (place / "model.onnx").write_bytes(models.scale_model(factor))
    if metadata:
        (place / "metadata.json").write_text(json.dumps(metadata))


def choose(folder: Path, name: str, versions: Any) -> None:
    """Say which versions are served."""
    (folder / name / "metadata.json").write_text(json.dumps({"versions": versions}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two versions of one model, both served, and one of another."""
    for version in ("1", "2"):
        put(tmp_path, "many", version, float(version))
    choose(tmp_path, "many", 2)
    put(tmp_path, "one", "7", 7.0)
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    """A server of this folder."""
    with Server(folder) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    """Triton's client."""
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as opened:
        yield opened


def factor(client: Any, name: str, version: str = "") -> float:
    """What a version multiplies by."""
    result = client.infer(name, [tensor("x", ROW, binary=True)], model_version=version)
    return float(result.as_numpy("y")[0, 0])


def states(client: Any) -> dict[tuple[str, str], tuple[str, str]]:
    """State and reason by name and version."""
    return {
        (entry["name"], entry["version"]): (entry["state"], entry["reason"])
        for entry in client.get_model_repository_index()
    }


def test_versions_answer_side_by_side(client: Any) -> None:
    """By their number; without one the latest."""
    assert client.get_model_metadata("many")["versions"] == ["1", "2"]
    assert [factor(client, "many", version) for version in ("1", "2", "")] == [1, 2, 2]


def test_predict_asks_the_latest(server: Server) -> None:
    """`POST /predict` knows no versions."""
    answer = server.client.post("/predict", params={"model": "many"}, json={"data": ROW.tolist()})

    assert answer.json()["predictions"] == [[2, 4, 6]]
    assert answer.json()["model_info"]["model_version"] == "2"


def test_versions_count_for_themselves(client: Any) -> None:
    """In the statistics, and in the metrics."""
    factor(client, "many", "1")

    counts = [
        client.get_inference_statistics("many", version)["model_stats"][0]["inference_count"]
        for version in ("1", "2")
    ]
    assert counts == [1, 0]


def test_metrics_have_the_version(server: Server, client: Any) -> None:
    """As a label."""
    factor(client, "many", "1")

    text = server.client.get("/metrics").text
    assert 'ml_api_predictions_total{model="many",version="1"} 1.0' in text
    assert 'ml_api_predictions_total{model="many",version="2"} 0.0' in text


def test_versions_may_be_named(folder: Path, client: Any) -> None:
    """Instead of so many of the latest."""
    put(folder, "many", "3", 3.0)
    choose(folder, "many", ["1", 3])

    client.load_model("many")

    assert client.get_model_metadata("many")["versions"] == ["1", "3"]
    assert states(client)["many", "2"] == ("UNAVAILABLE", "not chosen by the version policy")


@pytest.mark.parametrize("versions", [0, -1, "all", ["9"], None])
def test_choice_that_cannot_be_made_is_refused(folder: Path, client: Any, versions: Any) -> None:
    """What is served stays."""
    choose(folder, "many", versions)

    with pytest.raises(InferenceServerException, match=r"\[400\] many/metadata.json: "):
        client.load_model("many")
    assert factor(client, "many", "1") == 1


def test_index_tells_all_that_could_be_served(folder: Path, client: Any) -> None:
    """Triton's client sends no body."""
    put(folder, "new", "1", 5.0)

    assert states(client) == {
        ("many", "1"): ("READY", ""),
        ("many", "2"): ("READY", ""),
        ("new", "1"): ("UNAVAILABLE", "not loaded"),
        ("one", "7"): ("READY", ""),
    }


def test_index_may_be_of_what_is_ready(folder: Path, server: Server) -> None:
    """With a body that says so."""
    put(folder, "new", "1", 5.0)

    answer = server.client.post("/v2/repository/index", json={"ready": True})

    assert {entry["name"] for entry in answer.json()} == {"many", "one"}


def test_loading_brings_a_new_model_and_touches_no_other(folder: Path, client: Any) -> None:
    """Others go on with the file they have."""
    put(folder, "new", "1", 5.0)
    put(folder, "one", "7", 70.0)

    client.load_model("new")

    assert factor(client, "new") == 5
    assert factor(client, "one") == 7


def test_loading_again_takes_the_new_file(folder: Path, client: Any) -> None:
    """As a reload does, for one model."""
    put(folder, "one", "7", 70.0)

    client.load_model("one")

    assert factor(client, "one") == 70


def test_unloaded_model_is_gone_until_it_is_loaded(client: Any) -> None:
    """With all of its versions; the parameters that Triton's client sends are taken."""
    client.unload_model("many")

    assert not client.is_model_ready("many")
    assert states(client)["many", "1"] == ("UNAVAILABLE", "unloaded")
    with pytest.raises(InferenceServerException, match=r"\[404\]"):
        factor(client, "many")
    assert factor(client, "one") == 7

    client.load_model("many")
    assert factor(client, "many") == 2


def test_last_model_may_be_unloaded(client: Any) -> None:
    """The server stays, and says that it has none."""
    client.unload_model("many")
    client.unload_model("one")

    assert client.is_server_live()
    with pytest.raises(InferenceServerException, match="none"):
        factor(client, "one")


def test_requests_under_way_are_answered_across_load_and_unload(server: Server) -> None:
    """Not one of the other model's is lost, and none of its own while it is replaced."""
    ended = threading.Event()
    failures: list[str] = []

    def ask() -> None:
        with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as own:
            while not ended.is_set():
                try:
                    assert factor(own, "one") == 7
                except InferenceServerException as error:
                    failures.append(str(error))

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as control:
        for _ in range(10):
            control.unload_model("many")
            control.load_model("many")
            control.load_model("one")
    ended.set()
    for thread in asking:
        thread.join()

    assert failures == []


@pytest.mark.parametrize("action", ["load", "unload"])
def test_unknown_model_is_not_found(server: Server, action: str) -> None:
    """Neither on the disk nor served."""
    answer = server.client.post(f"/v2/repository/models/none/{action}")

    assert answer.status_code == 404
    assert "none" in answer.json()["error"]


@pytest.mark.parametrize("parameter", ["config", "file:1/model.onnx"])
def test_model_in_the_request_is_refused(server: Server, parameter: str) -> None:
    """Models come from MODEL_PATH alone."""
    answer = server.client.post(
        "/v2/repository/models/one/load", json={"parameters": {parameter: "AAAA"}}
    )

    assert answer.status_code == 400
    assert parameter in answer.json()["error"]


def test_anothers_broken_metadata_is_not_in_the_way(folder: Path, client: Any) -> None:
    """Neither of loading, nor of the index."""
    put(folder, "broken", "1", 1.0)
    (folder / "broken" / "1" / "metadata.json").write_text("{")

    client.load_model("one")

    assert states(client)["broken", "1"] == ("UNAVAILABLE", "not loaded")
    with pytest.raises(InferenceServerException, match="metadata"):
        client.load_model("broken")


def test_model_may_be_called_infer(folder: Path, client: Any) -> None:
    """Its metadata are no inference."""
    put(folder, "infer", "1", 4.0)
    client.load_model("infer")

    assert client.get_model_metadata("infer")["name"] == "infer"
    assert factor(client, "infer") == 4


def test_rows_beyond_the_batch_size_are_answered_whole_beside_an_optional_input(
    folder: Path, client: Any
) -> None:
    """What is no rows is not cut."""
    place = folder / "optional" / "1"
    place.mkdir(parents=True)
    (place / "model.onnx").write_bytes(optional_model())
    (place / "metadata.json").write_text('{"max_batch_size": 4}')
    client.load_model("optional")
    rows = np.arange(30, dtype=np.float32).reshape(10, 3)
    five = tensor("factor", np.array([5], np.float32), binary=True)

    found = client.infer("optional", [tensor("x", rows, binary=True), five])

    np.testing.assert_array_equal(found.as_numpy("y"), rows * 5)


def test_broken_file_leaves_the_old_model_serving(folder: Path, client: Any) -> None:
    """And is told."""
    (folder / "one" / "7" / "model.onnx").write_bytes(b"no model")

    with pytest.raises(InferenceServerException, match="ONNX Runtime"):
        client.load_model("one")
    assert factor(client, "one") == 7


def test_only_the_admin_changes_what_is_served(folder: Path) -> None:
    """With an ADMIN_TOKEN nobody else does; the index is for all."""
    with Server(folder, ADMIN_TOKEN=TOKEN) as server:
        for action in ("load", "unload"):
            path = f"/v2/repository/models/one/{action}"
            refused = server.client.post(path)
            assert (refused.status_code, list(refused.json())) == (401, ["error"])
            allowed = server.client.post(path, headers={"authorization": f"Bearer {TOKEN}"})
            assert allowed.status_code == 200
        assert server.client.post("/v2/repository/index").status_code == 200


def test_nobody_changes_what_is_served_without_a_token_in_production(folder: Path) -> None:
    """Closed, loopback or not."""
    with Server(folder, ENV="production") as server:
        answer = server.client.post("/v2/repository/models/one/unload")

        assert (answer.status_code, list(answer.json())) == (403, ["error"])


# Settings of a model's own.


def described(server: Server, name: str) -> dict[str, Any]:
    """What `GET /models/info` tells."""
    found: dict[str, Any] = server.client.get("/models/info", params={"model": name}).json()
    return found


def test_model_may_have_settings_of_its_own(folder: Path) -> None:
    """In its metadata; the other keeps the server's."""
    put(folder, "own", "1", 2.0, batching=False, sessions=3)
    put(folder, "small", "1", 2.0, max_batch_size=4, warmup=5, cache=False)

    with Server(folder, SESSIONS="1") as server:
        own, small = described(server, "own"), described(server, "small")
        config = server.client.get("/v2/models/small/config").json()
        other = described(server, "one")

    assert (own["sessions"], own["batching"]["enabled"]) == (3, False)
    assert (small["sessions"], small["cacheable"], config["max_batch_size"]) == (1, False, 4)
    assert (other["sessions"], other["batching"]["enabled"], other["cacheable"]) == (1, True, True)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"sessions": 0}, "sessions"),
        ({"max_batch_size": "many"}, "max_batch_size"),
        ({"batching": 1}, "batching"),
        ({"cache": "yes"}, "cache"),
        ({"warmup": -1}, "warmup"),
    ],
)
def test_bad_setting_is_told(folder: Path, client: Any, setting: Any, said: str) -> None:
    """The model is not loaded."""
    put(folder, "one", "7", 70.0, **setting)

    with pytest.raises(InferenceServerException, match=said):
        client.load_model("one")
    assert factor(client, "one") == 7


def test_model_may_be_cached_without_being_asked(folder: Path) -> None:
    """`cache` true: as `POST /predict` does."""
    put(folder, "one", "7", 7.0, cache=True)
    row = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}

    def ask(server: Server, **parameters: Any) -> httpx.Response:
        body = {"id": "a", "inputs": [row], "parameters": parameters}
        return server.client.post("/v2/models/one/infer", json=body)

    with Server(folder) as server:
        answers = [ask(server), ask(server), ask(server, use_cache=False)]

    assert [answer.headers["x-cache"] for answer in answers] == ["miss", "l1", "bypass"]
    assert answers[0].json() == answers[1].json() == answers[2].json()
