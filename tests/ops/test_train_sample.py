"""The bundled model is what ops/train_sample.py makes: trained anew here, and compared."""

import json
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from sklearn.datasets import load_wine

from ops.train_sample import MODELS, train


class Trained(NamedTuple):
    """A model file with its metadata, committed or fresh."""

    onnx_bytes: bytes
    metadata: dict[str, Any]

    def run(self, rows: npt.NDArray[np.float32]) -> list[Any]:
        """Return its answers for rows float32 [B, 10]: labels [B], probabilities [B, 3]."""
        session = onnxruntime.InferenceSession(self.onnx_bytes)
        answers: list[Any] = session.run(None, {"float_input": rows})
        return answers


@pytest.fixture(scope="module")
def committed() -> Trained:
    metadata = json.loads((MODELS / "model_metadata.json").read_text(encoding="utf-8"))
    return Trained((MODELS / "wine.onnx").read_bytes(), metadata)


@pytest.fixture(scope="module")
def fresh() -> Trained:
    return Trained(*train())


@pytest.fixture(scope="module")
def all_wines(committed: Trained) -> npt.NDArray[np.float32]:
    """Every wine of the set, with the measurements that the committed model names."""
    wine = load_wine()
    columns = [wine.feature_names.index(name) for name in committed.metadata["features"]]
    return np.asarray(wine.data[:, columns], np.float32)


def test_retraining_gives_the_committed_metadata(committed: Trained, fresh: Trained) -> None:
    """Features, sample rows and accuracy in the repository are those that training finds."""
    assert fresh.metadata == committed.metadata


def test_retraining_gives_the_committed_labels(
    committed: Trained, fresh: Trained, all_wines: npt.NDArray[np.float32]
) -> None:
    """The committed file and a fresh one put every wine into the same class."""
    np.testing.assert_array_equal(fresh.run(all_wines)[0], committed.run(all_wines)[0])


def test_retraining_gives_the_committed_probabilities(
    committed: Trained, fresh: Trained, all_wines: npt.NDArray[np.float32]
) -> None:
    """The committed file and a fresh one agree on every probability within 1e-5."""
    np.testing.assert_allclose(
        fresh.run(all_wines)[1], committed.run(all_wines)[1], rtol=0, atol=1e-5
    )


def test_the_model_tells_the_wines_apart(
    committed: Trained, all_wines: npt.NDArray[np.float32]
) -> None:
    """At least 95 of 100 wines get the class that the data set gives them."""
    labels = committed.run(all_wines)[0]

    assert np.mean(labels == load_wine().target) >= 0.95


def test_probabilities_are_one_array(
    committed: Trained, all_wines: npt.NDArray[np.float32]
) -> None:
    """Probabilities come as float32 [B, 3], not as a list of dicts."""
    probabilities = committed.run(all_wines)[1]

    assert (probabilities.dtype, probabilities.shape) == (np.float32, (len(all_wines), 3))


def test_sample_rows_are_real_wines(committed: Trained, all_wines: npt.NDArray[np.float32]) -> None:
    """Each sample row of the metadata is a row of the data set, to the bit in float32."""
    wines = {row.tobytes() for row in all_wines}

    assert all(
        np.asarray(row, np.float32).tobytes() in wines for row in committed.metadata["sample"]
    )
