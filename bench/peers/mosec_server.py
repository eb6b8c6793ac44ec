"""The bundled model behind mosec, the strongest peer: `python -m bench.peers.mosec_server`.

mosec is an HTTP server in Rust before Python workers, with dynamic batching. It listens on PORT
and is ready once `POST /predict` answers: rows in, their predictions, probabilities and labels out.
MAX_BATCH_SIZE=1 turns batching off; CODEC=json leaves mosec its own JSON.

b rows of one request, F features.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import onnxruntime
from mosec import Server, ValidationError, Worker

from bench.request import HOST
from ml_pipeline.settings import BUNDLED_MODELS

# The fastest of those tried at 32 connections (2 cores, requests/s): rows a batch / wait / workers
# 32/1 ms/1 38,600, 16/1/1 37,900, 16/1/2 37,500, 8/1/2 35,800, 16/10/1 33,800, no batching 9,800.
MAX_BATCH_SIZE = 32
MAX_WAIT_MS = 1  # the least that mosec takes: 0 means its default, 10
NUM_WORKERS = 1

Answer = dict[str, list[Any]]


class Request(msgspec.Struct):
    """What a client sends: rows `[b][F]`."""

    data: list[list[float]]


class ModelWorker(Worker):
    """Runs the rows of a batch at once; JSON in and out is mosec's own, the standard library's."""

    def __init__(self) -> None:  # mosec's own has nothing to set up
        metadata = json.loads((BUNDLED_MODELS / "model_metadata.json").read_text())
        self._class_names: list[str] = metadata["class_names"]
        (path,) = BUNDLED_MODELS.glob("*.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # as many as the server's own sessions have
        self._session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        self._input: str = self._session.get_inputs()[0].name

    def deserialize(self, data: bytes) -> Any:
        """Read the rows of a request."""
        return super().deserialize(data)["data"]

    def forward(self, data: Any) -> Any:
        """Answer each request of a batch; without batching mosec gives and takes a single one."""
        if self.max_batch_size == 1:
            return self._answer([data])[0]
        return self._answer(data)

    def _answer(self, requests: Sequence[list[list[float]]]) -> list[Answer]:
        rows = np.asarray([row for request in requests for row in request], dtype=np.float32)
        outputs = self._session.run(None, {self._input: rows})
        classes, scores = (output.tolist() for output in outputs)
        answers, start = [], 0
        for request in requests:
            end = start + len(request)
            answers.append(
                {
                    "predictions": classes[start:end],
                    "probabilities": scores[start:end],
                    "labels": [self._class_names[label] for label in classes[start:end]],
                }
            )
            start = end
        return answers


class MsgspecWorker(ModelWorker):
    """The same with msgspec's JSON, as mosec's page on performance advises a faster codec."""

    def __init__(self) -> None:
        super().__init__()
        self._decoder = msgspec.json.Decoder(Request)
        self._encoder = msgspec.json.Encoder()

    def deserialize(self, data: bytes) -> Any:
        """Read and check the rows of a request."""
        try:
            return self._decoder.decode(data).data
        except msgspec.MsgspecError as error:
            raise ValidationError(str(error)) from error

    def serialize(self, data: Any) -> bytes:
        """Write an answer."""
        return self._encoder.encode(data)


def main() -> None:
    """Serve until SIGTERM; mosec takes its options from the command line."""
    sys.argv += ["--address", HOST, "--port", os.environ["PORT"], "--log-level", "warning"]
    worker = ModelWorker if os.environ.get("CODEC") == "json" else MsgspecWorker
    server = Server()
    server.append_worker(
        worker,
        num=NUM_WORKERS,
        max_batch_size=int(os.environ.get("MAX_BATCH_SIZE", MAX_BATCH_SIZE)),
        max_wait_time=MAX_WAIT_MS,
        route="/predict",
    )
    server.run()


if __name__ == "__main__":
    main()
