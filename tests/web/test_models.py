"""`/models`, `/models/info`, `/models/reload` and `/sample` over HTTP."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import httpx
import numpy as np
import pytest

from tests import models
from tests.server import Server, new_client
from tests.verdicts import NODE, REASON, START
from tests.web.problem import assert_problem
from tests.web.samples import METADATA, ROW, WINE, WINE_ROWS, wine_answers, write_wine

ZOO = ["a word", "brittle", "dice", "flat", "log", "pair", "plain", "price", "whole", "wine"]
DESCRIPTION = {
    "model_name",
    "model_version",
    "model_type",
    "digest",
    "input_shape",
    "output_classes",
    "features",
    "class_names",
    "class_labels",
    "scores_by_class",
    "inputs",
    "outputs",
    "sessions",
    "batching",
    "cacheable",
    "load_seconds",
}

# What is told.


def test_models_lists_every_model(zoo: Server) -> None:
    """`GET /models` describes each model under MODEL_PATH, by name."""
    answer = zoo.client.get("/models")

    assert answer.json().keys() == {"models"}
    assert [model["model_name"] for model in answer.json()["models"]] == ZOO
    assert all(model.keys() == DESCRIPTION for model in answer.json()["models"])


def test_info_describes_the_only_model(client: httpx.Client) -> None:
    """`GET /models/info` tells the metadata, the tensors and how rows are batched."""
    info = client.get("/models/info").json()

    assert info.keys() == DESCRIPTION
    assert (info["model_name"], info["model_version"]) == ("wine", "1")
    assert info["model_type"] == "classifier"
    assert info["input_shape"] == [-1, 10]
    assert info["output_classes"] == 3
    assert info["features"] == METADATA["features"]
    assert info["class_names"] == ["class_0", "class_1", "class_2"]
    assert info["class_labels"] == [0, 1, 2]
    assert info["inputs"] == [{"name": "float_input", "dtype": "float32", "shape": [-1, 10]}]
    assert [output["name"] for output in info["outputs"]] == ["label", "probabilities"]
    assert info["sessions"] >= 1
    assert info["cacheable"] is True
    assert info["load_seconds"] > 0


def test_info_tells_why_rows_are_batched(client: httpx.Client) -> None:
    """`batching` says whether, why, and what a run costs by its rows."""
    batching = client.get("/models/info").json()["batching"]

    assert batching.keys() == {
        *("enabled", "mode", "verdict", "node", "reason", "disproved", "shared_answers"),
        "cost_curve",
    }
    assert batching["enabled"] is True
    assert batching["disproved"] is False
    assert batching["cost_curve"][0]["num_rows"] == 1
    assert batching["cost_curve"][0]["seconds"] > 0


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Models whose rows depend on each other, as their graphs tell; of one this is accepted."""
    folder = tmp_path_factory.mktemp("judged")
    for name in ("accepted", "refused"):
        (folder / f"{name}.onnx").write_bytes(models.mean_model())
    (folder / "accepted.json").write_text('{"batching": "accept"}')
    with Server(folder, command=("-c", START, "coupled")) as server:
        yield server


@pytest.mark.parametrize(
    ("model", "enabled", "says"),
    [
        ("accepted", True, f"accepts that answers may depend on neighbours: {NODE} {REASON}"),
        ("refused", False, f"{NODE} {REASON}"),
    ],
)
def test_info_tells_the_verdict_and_its_node(
    judged: Server, model: str, enabled: bool, says: str
) -> None:
    """And whether that is accepted; what such runs answer is then kept nowhere."""
    batching = judged.client.get(f"/models/info?model={model}").json()["batching"]

    assert (batching["verdict"], batching["node"]) == ("coupled", NODE)
    assert batching["enabled"] is enabled
    assert says in batching["reason"]
    assert batching["shared_answers"] == "nowhere"
    assert batching["disproved"] is False


def test_info_tells_where_a_row_runs(client: httpx.Client, slow: Server) -> None:
    """A short run needs no thread of a session, unless the budget for that is nothing."""
    modes = [each.get("/models/info").json()["batching"]["mode"] for each in (client, slow.client)]

    assert modes == ["inline", "pool"]


def test_info_describes_the_model_that_is_named(zoo: Server) -> None:
    """`?model=` chooses the model, here one with two inputs."""
    info = zoo.client.get("/models/info?model=pair").json()

    assert info["model_name"] == "pair"
    assert [tensor["name"] for tensor in info["inputs"]] == ["left", "right"]


def test_info_describes_a_model_without_metadata(zoo: Server) -> None:
    """What only metadata could tell is null; classes are told by the graph."""
    info = zoo.client.get("/models/info?model=plain").json()

    assert (info["features"], info["class_names"]) == (None, None)
    assert (info["class_labels"], info["output_classes"]) == ([0, 1, 2], 3)
    assert info["input_shape"] == [-1, 10]


@pytest.mark.parametrize("path", ["/models/info?model=vine", "/sample?model=vine", "/sample"])
def test_unknown_models_are_told_the_choices(zoo: Server, path: str) -> None:
    """A name that no model has, or none among several, is a 404 that lists those there are."""
    answer = zoo.client.get(path)

    problem = assert_problem(answer, 404, "model_not_found")
    assert all(name in problem["detail"] for name in ZOO)


# Samples.


@pytest.mark.parametrize("model", [name for name in ZOO if name != "pair"])
def test_sample_is_a_body_for_predict(zoo: Server, model: str) -> None:
    """`POST /predict` takes what `GET /sample` gives, as it is, for a model of any type."""
    sample = zoo.client.get("/sample", params={"model": model})

    answer = zoo.client.post("/predict", params={"model": model}, content=sample.content)

    assert sample.json().keys() == {"data"}
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["predictions"]) == len(sample.json()["data"])


def test_sample_gives_the_rows_of_the_metadata(client: httpx.Client) -> None:
    """Where the metadata has real rows, these are the sample."""
    assert client.get("/sample").json() == {"data": WINE_ROWS}


def test_there_is_no_sample_for_two_inputs(zoo: Server) -> None:
    """A model that `POST /predict` cannot fill has no sample either."""
    answer = zoo.client.get("/sample?model=pair")

    assert_problem(answer, 422, "invalid_input")


# Reload.


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server, and the folder that it serves."""
    folder = tmp_path_factory.mktemp("reload") / "models"
    write_wine(folder, "1")
    with Server(folder) as server:
        yield server, folder


@pytest.fixture
def folder(running: tuple[Server, Path]) -> Path:
    """The folder, with the wine model as version 1 and nothing else, and loaded so."""
    server, folder = running
    shutil.rmtree(folder, ignore_errors=True)
    write_wine(folder, "1")
    assert server.client.post("/models/reload").status_code == 200
    return folder


@pytest.fixture
def reloading(running: tuple[Server, Path], folder: Path) -> Server:
    """The server, with version 1 of the wine model loaded."""
    return running[0]


def version(server: Server) -> str:
    """The version that answers."""
    answer = server.client.post("/predict", json={"data": [ROW]}).json()
    return str(answer["model_info"]["model_version"])


def test_reload_under_load_fails_not_one_request(reloading: Server, folder: Path) -> None:
    """While a new file is swapped in every request is answered, by the old model or the new."""
    stop = Event()
    expected = wine_answers([ROW])[1]

    def ask() -> set[str]:
        versions: list[str] = []
        with new_client(reloading.url) as client:
            while not stop.is_set():
                use_cache = len(versions) % 2 == 0
                body = {"data": [ROW], "use_cache": use_cache}
                answer = client.post("/predict", json=body)
                assert answer.status_code == 200, answer.text
                content = answer.json()
                np.testing.assert_allclose(content["probabilities"], expected, rtol=1e-4)
                versions.append(content["model_info"]["model_version"])
        assert versions == sorted(versions), "an old model answered after a new one"
        return set(versions)

    with ThreadPoolExecutor(4) as threads:
        asking = [threads.submit(ask) for _ in range(4)]
        try:
            for number in range(2, 6):
                write_wine(folder, str(number))
                assert reloading.client.post("/models/reload").status_code == 200
                assert version(reloading) == str(number)
        finally:
            stop.set()
        seen = set.union(*(future.result() for future in asking))

    assert len(seen) > 1


def test_reload_takes_and_drops_models(reloading: Server, folder: Path) -> None:
    """After a reload those models answer whose files are there, and no others."""
    (folder / "doubled.onnx").write_bytes(models.scale_model())
    both = reloading.client.post("/models/reload").json()["models"]
    (folder / "wine.onnx").unlink()
    one = reloading.client.post("/models/reload").json()["models"]

    answer = reloading.client.post("/predict", json={"data": [[1.0, 2.0, 3.0]]})

    assert [model["model_name"] for model in both] == ["doubled", "wine"]
    assert [model["model_name"] for model in one] == ["doubled"]
    assert answer.json()["predictions"] == [[2.0, 4.0, 6.0]]


def test_a_changed_file_makes_cached_answers_unreachable(reloading: Server, folder: Path) -> None:
    """After a reload of a changed file nothing that the old one answered is served."""
    (folder / "wine.json").unlink()
    (folder / "wine.onnx").write_bytes(models.scale_model(2.0))
    reloading.client.post("/models/reload")
    body = {"data": [[1.0, 2.0, 3.0]]}
    before = reloading.client.post("/predict", json=body)
    (folder / "wine.onnx").write_bytes(models.scale_model(5.0))
    reloading.client.post("/models/reload")

    after = reloading.client.post("/predict", json=body)

    assert before.json()["predictions"] == [[2.0, 4.0, 6.0]]
    assert after.headers["x-cache"] == "miss"
    assert after.json()["predictions"] == [[5.0, 10.0, 15.0]]


def break_file(folder: Path) -> None:
    (folder / "wine.onnx").write_bytes(WINE.read_bytes()[:300])


def remove_file(folder: Path) -> None:
    (folder / "wine.onnx").unlink()


def remove_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def break_metadata(folder: Path) -> None:
    (folder / "wine.json").write_text("{")


def contradict(folder: Path) -> None:
    (folder / "wine.json").write_text(json.dumps({**METADATA, "input_shape": [None, 4]}))


def repeat_a_name(folder: Path) -> None:
    write_wine(folder, "2", name="vine")
    (folder / "vine.json").write_text(json.dumps({**METADATA, "model_name": "wine"}))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (break_file, "wine.onnx"),
        (remove_file, "MODEL_PATH"),
        (remove_folder, "MODEL_PATH"),
        (break_metadata, "wine.json"),
        (contradict, "input_shape[1]: expected 10"),
        (repeat_a_name, "two"),
    ],
)
def test_what_cannot_be_loaded_leaves_the_old_model_serving(
    reloading: Server, folder: Path, spoil: Callable[[Path], None], says: str
) -> None:
    """A reload that fails is a 422 with the reason; the old model answers as before."""
    write_wine(folder, "2")
    spoil(folder)

    answer = reloading.client.post("/models/reload")

    problem = assert_problem(answer, 422, "model_load_failed")
    assert says in problem["detail"]
    assert version(reloading) == "1"
    assert reloading.client.get("/health").json()["status"] == "healthy"


def test_concurrent_reloads_all_succeed(reloading: Server, folder: Path) -> None:
    """Reloads that come together each end well, and the newest file answers."""
    write_wine(folder, "2")

    with ThreadPoolExecutor(4) as threads:
        answers = list(
            threads.map(lambda _: reloading.client.post("/models/reload").status_code, range(8))
        )

    assert answers == [200] * 8
    assert version(reloading) == "2"


def test_reloads_do_not_pile_up(reloading: Server) -> None:
    """Replaced models are let go: memory does not grow by a model a reload."""

    def memory_after(num_reloads: int) -> float:
        for _ in range(num_reloads):
            reloading.client.post("/models/reload")
        scraped = reloading.client.get("/metrics").text
        (line,) = re.findall(r"^process_resident_memory_bytes (.+)$", scraped, re.MULTILINE)
        return float(line)

    before = memory_after(20)

    assert memory_after(80) < before + 10_000_000


def test_a_reload_is_logged(reloading: Server, folder: Path) -> None:
    """Each model that a reload brings has a line in the log."""
    write_wine(folder, "logged")

    reloading.client.post("/models/reload")

    lines = [line for line in reloading.log_lines() if line["event"] == "model_loaded"]
    assert [line["version"] for line in lines[-2:]] == ["1", "logged"]
