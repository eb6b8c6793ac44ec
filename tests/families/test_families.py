"""Models as converters write them: each answer is what the library they come from says of the row.

They are trained and converted by `train.py`, in a process that has the libraries. A field that a
library has no number for is null.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from tests.server import ROOT, Server

FAMILIES = """
forest-numbers forest-words forest-many forest-boosted
linear-logistic linear-words linear-named linear-raw linear-ridge linear-ridge-named
linear-perceptron linear-sgd
svc-two svc-two-likely svc-four svc-four-likely svc-four-pairs
nusvc-two nusvc-two-likely nusvc-four nusvc-four-likely
clusters mixture regression network network-multi text scaled
lightgbm-two lightgbm-three xgboost-two xgboost-three xgboost-margins
catboost-two catboost-three catboost-regression
int8-dynamic int8-static float16
""".split()
NUM_CLIENTS = 32
FIELDS = ("predictions", "probabilities", "scores", "labels")
Expected = dict[str, npt.NDArray[Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them, flat."""
    path = tmp_path_factory.mktemp("families")
    subprocess.run(
        [sys.executable, Path(__file__).parent / "train.py", path],
        env={**os.environ, "PYTHONPATH": str(ROOT / ".venv" / "families")},
        check=True,
    )
    return path


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Server]:
    """A server of all of them."""
    with Server(folder) as running:
        yield running


def test_every_family_is_here(folder: Path) -> None:
    """None is trained and not asked for."""
    assert sorted(FAMILIES) == sorted(path.stem for path in folder.glob("*.npz"))


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    """One model's name."""
    return str(request.param)


@pytest.fixture
def expected(folder: Path, family: str) -> Expected:
    """Its rows, and what the library says of them."""
    with np.load(folder / f"{family}.npz") as arrays:
        return dict(arrays)


def ask(server: Server, model: str, rows: Any) -> dict[str, Any]:
    """Have some rows answered by the model, not by the cache."""
    body = {"data": rows.tolist(), "use_cache": False}
    answer = server.client.post("/predict", params={"model": model}, json=body)
    assert answer.status_code == 200, answer.text
    fields: dict[str, Any] = answer.json()
    return fields


def one_by_one(expected: Expected) -> list[npt.NDArray[Any]]:
    """Give the rows as requests of one each."""
    return np.split(expected["rows"], len(expected["rows"]))


def assert_equal(answers: list[dict[str, Any]], expected: Expected) -> None:
    """Hold answers to a row each against what is expected of all."""
    for field in FIELDS:
        found = [answer[field] for answer in answers]
        if field not in expected:
            assert found == [None] * len(answers), field
            continue
        values, wanted = np.concatenate(found), expected[field]
        if wanted.dtype.kind == "f":
            np.testing.assert_allclose(values, wanted, rtol=2e-4, atol=2e-5, err_msg=field)
        else:
            assert values.tolist() == wanted.tolist(), field


def test_rows_alone_are_answered_as_the_library_does(
    served: Server, family: str, expected: Expected
) -> None:
    """One after the other."""
    answers = [ask(served, family, row) for row in one_by_one(expected)]

    assert_equal(answers, expected)


def test_rows_in_a_crowd_are_answered_as_the_library_does(
    served: Server, family: str, expected: Expected
) -> None:
    """By 32 clients at once. Rows of dynamically quantised models change each other in a run."""
    with ThreadPoolExecutor(NUM_CLIENTS) as clients:
        answers = list(clients.map(partial(ask, served, family), one_by_one(expected)))

    assert_equal(answers, expected)


@pytest.mark.parametrize(
    "family", ["forest-numbers", "linear-words", "catboost-two"], indirect=True
)
def test_columns_have_the_classes_of_the_graph(
    served: Server, family: str, folder: Path, expected: Expected
) -> None:
    """`/models/info` tells them, where there is no metadata."""
    info = served.client.get("/models/info", params={"model": family}).json()

    assert info["class_labels"] == np.unique(expected["predictions"]).tolist()
    assert info["class_names"] is None
    assert not folder.joinpath(f"{family}.json").exists()


def test_msgpack_has_the_same_scores(served: Server, folder: Path) -> None:
    """As raw bytes."""
    with np.load(folder / "clusters.npz") as arrays:
        rows, distances = arrays["rows"], arrays["scores"]

    answer = served.client.post(
        "/predict",
        params={"model": "clusters"},
        json={"data": rows.tolist()},
        headers={"Accept": "application/msgpack"},
    )

    scores = msgspec.msgpack.decode(answer.content)["scores"]
    found = np.frombuffer(scores["data"], scores["dtype"]).reshape(scores["shape"])
    np.testing.assert_allclose(found, distances, rtol=1e-4)
