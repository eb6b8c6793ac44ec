"""The model of the ordinary implementation: what clients send and get, and how rows are run.

b rows of one request, F features, C classes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from pydantic import BaseModel, Field

from ml_pipeline.settings import BUNDLED_MODELS

Rows = npt.NDArray[np.float32]


class PredictRequest(BaseModel):
    """Rows of numbers, nested `[b][F]`."""

    data: list[list[float]] = Field(min_length=1)
    use_cache: bool = True
    cache_ttl: int | None = Field(default=None, ge=1, le=2_592_000)


class ModelInfo(BaseModel):
    """Which model answered, and how; `prediction_time` in seconds."""

    model_name: str
    model_version: str
    prediction_time: float
    input_shape: list[int]
    cached: bool


class PredictResponse(BaseModel):
    """One entry a row in each list."""

    predictions: list[int]
    probabilities: list[list[float]]
    scores: None = None
    labels: list[str]
    model_info: ModelInfo


class BatchRequest(BaseModel):
    """Many requests at once."""

    requests: list[PredictRequest] = Field(min_length=1)


class BatchResponse(BaseModel):
    """One answer a request, in their order."""

    results: list[PredictResponse]


class Model:
    """An ONNX classifier with its metadata, both beside each other in one folder."""

    def __init__(self, folder: Path = BUNDLED_MODELS) -> None:
        metadata = json.loads((folder / "model_metadata.json").read_text())
        self.name: str = metadata["model_name"]
        self.version: str = metadata["model_version"]
        self.num_features: int = metadata["input_shape"][1]
        self._class_names: list[str] = metadata["class_names"]
        (path,) = folder.glob("*.onnx")
        options = ort.SessionOptions()
        # One thread: with the default, one a core, requests of 1,000 rows were no faster (276
        # against 289 a second on 2 cores) and cost twice the CPU.
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def to_array(self, data: list[list[float]]) -> Rows:
        """Make the model's input of a request, `[b, F]`.

        Raises:
            ValueError: A row has another number of features, or a value that is no number.
        """
        for at, row in enumerate(data):
            if len(row) != self.num_features:
                raise ValueError(
                    f"data[{at}]: expected {self.num_features} features, found {len(row)}"
                )
        rows = np.asarray(data, dtype=np.float32)
        if not np.isfinite(rows).all():
            raise ValueError("data: expected finite numbers")
        return rows

    def predict_many(self, requests: Sequence[Rows]) -> list[PredictResponse]:
        """Run the model once on the rows of several requests, `[b, F]` each."""
        started = time.perf_counter()
        batch = np.concatenate(requests) if len(requests) > 1 else requests[0]
        classes, scores = self._session.run(None, {self._input: batch})
        seconds = time.perf_counter() - started
        responses, start = [], 0
        for rows in requests:
            end = start + len(rows)
            predictions = classes[start:end].tolist()
            responses.append(
                PredictResponse(
                    predictions=predictions,
                    probabilities=scores[start:end].tolist(),
                    labels=[self._class_names[label] for label in predictions],
                    model_info=ModelInfo(
                        model_name=self.name,
                        model_version=self.version,
                        prediction_time=seconds,
                        input_shape=list(rows.shape),
                        cached=False,
                    ),
                )
            )
            start = end
        return responses
