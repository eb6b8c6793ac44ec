"""What tests send: rows for the bundled wine model, and folders of models."""

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests import models

BUNDLED = Path(__file__).parents[2] / "app" / "ml_pipeline" / "models"
WINE = BUNDLED / "wine.onnx"
METADATA: dict[str, Any] = json.loads((BUNDLED / "model_metadata.json").read_text())
WINE_ROWS: list[list[float]] = METADATA["sample"]
ROW = WINE_ROWS[0]

_numbers = itertools.count(1)


def fresh_row() -> list[float]:
    """Give a row that no test has sent before, so that no cache knows it."""
    return [12.0 + next(_numbers) / 1024, *ROW[1:]]


def raw_tensor(rows: Any, dtype: str = "float32") -> dict[str, Any]:
    """Write rows as a MessagePack tensor."""
    array = np.asarray(rows, dtype)
    return {"dtype": dtype, "shape": list(array.shape), "data": array.tobytes()}


def to_array(tensor: dict[str, Any]) -> npt.NDArray[Any]:
    """Read a MessagePack tensor."""
    return np.frombuffer(tensor["data"], tensor["dtype"]).reshape(tensor["shape"])


def wine_answers(rows: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Ask ONNX Runtime itself: labels int64 [b], probabilities float32 [b, 3]."""
    labels, probabilities = models.reference(WINE, {"float_input": np.asarray(rows, np.float32)})
    return labels, probabilities


def write_wine(folder: Path, version: str, name: str = "wine") -> None:
    """Put the wine model under a version of its own into a folder, in one step a file."""
    folder.mkdir(exist_ok=True)
    metadata = folder / f"{name}.json.new"
    metadata.write_text(json.dumps({**METADATA, "model_name": name, "model_version": version}))
    metadata.replace(folder / f"{name}.json")
    shutil.copy(WINE, folder / f"{name}.onnx.new")
    (folder / f"{name}.onnx.new").replace(folder / f"{name}.onnx")


def write_shapes(folder: Path) -> None:
    """Put "wine" into a folder, "pair" (two inputs), "words" and "free" (rows of any width)."""
    write_wine(folder, "1")
    for name, content in {
        "pair": models.two_input_model(),
        "words": models.words_model(),
        "free": models.width_free_model(),
    }.items():
        (folder / f"{name}.onnx").write_bytes(content)


def write_many(folder: Path) -> None:
    """Put models of every kind into a folder.

    "a word" (strings, with a sample that a shell would trip over), "brittle" (fails outside
    100…102), "dice" (another answer each time), "flat" (rank 1), "log" (NaN below zero), "pair"
    (two inputs), "plain" (wine without metadata), "price" (a regressor), "whole" (int64), "wine".
    """
    write_wine(folder, "1")
    shutil.copy(WINE, folder / "plain.onnx")
    contents = {
        "a word": models.words_model(),
        "brittle": models.lookup_model(),
        "dice": models.random_model(),
        "flat": models.scale_model(shape=[None]),
        "log": _log_model(),
        "pair": models.two_input_model(),
        "price": models.sklearn_regressor(),
        "whole": models.cast_model("int64"),
    }
    for name, content in contents.items():
        (folder / f"{name}.onnx").write_bytes(content)
    (folder / "a word.json").write_text(json.dumps({"sample": [["it's", "$HOME `b`"]]}))
    (folder / "brittle.json").write_text(json.dumps({"sample": [[100]]}))


def _log_model() -> bytes:
    return models.graph(
        [models.node("Log", ["x"], ["y"])],
        [models.tensor("x", "float32", [None, 2])],
        [models.tensor("y", "float32", [None, 2])],
    )
