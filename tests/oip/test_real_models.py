"""Models as others ship them: bytes, sound, images, words; each answer is ONNX Runtime's own.

They come from packages that are installed for these tests alone, without what else these need.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tritonclient.http as triton

from tests import models
from tests.oip.conftest import tensor
from tests.server import ROOT, Server

PACKAGES = ROOT / ".venv" / "models"
FILES = {
    "magika": "magika/models/standard_v3_3/model.onnx",
    "voice": "silero_vad/data/silero_vad.onnx",
    "find-text": "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
    "read-text": "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
    "turn-text": "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
}
Inputs = dict[str, npt.NDArray[Any]]
draw = np.random.default_rng(11)


def images(*shape: int) -> npt.NDArray[Any]:
    """Noise, as good as any picture to compare two runs by."""
    return draw.random(shape, np.float32)


REQUESTS: list[tuple[str, Inputs]] = [
    ("magika", {"bytes": draw.integers(0, 257, (1, 2048), np.int32)}),
    ("magika", {"bytes": draw.integers(0, 257, (5, 2048), np.int32)}),
    *(
        (
            "voice",
            {
                "input": images(rows, samples),
                "state": np.zeros((2, rows, 128), np.float32),
                "sr": np.array(rate, np.int64),
            },
        )
        for rows, samples, rate in ((1, 512, 16_000), (3, 512, 16_000), (1, 256, 8_000))
    ),
    ("find-text", {"x": images(1, 3, 64, 96)}),
    ("find-text", {"x": images(2, 3, 96, 64)}),
    ("read-text", {"x": images(1, 3, 48, 120)}),
    ("read-text", {"x": images(3, 3, 48, 320)}),
    ("turn-text", {"x": images(2, 3, 48, 192)}),
    ("words", {"words": np.array([["a", "x"], ["b", "y"], ["c", "?"]], dtype=object)}),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them, flat."""
    path = tmp_path_factory.mktemp("real")
    for name, file in FILES.items():
        shutil.copy(PACKAGES / file, path / f"{name}.onnx")
    (path / "words.onnx").write_bytes(models.sklearn_word_classifier())
    return path


@pytest.fixture(scope="module")
def real(folder: Path) -> Iterator[Server]:
    """A server of all of them."""
    with Server(folder) as running:
        yield running


def names(requests: list[tuple[str, Inputs]]) -> list[str]:
    """What to call each test."""
    return [
        f"{model}-{'-'.join('x'.join(map(str, array.shape)) for array in inputs.values())}"
        for model, inputs in requests
    ]


@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
@pytest.mark.parametrize(("model", "inputs"), REQUESTS, ids=names(REQUESTS))
def test_answer_is_onnx_runtimes(
    folder: Path, real: Server, model: str, inputs: Inputs, binary: bool
) -> None:
    """To the last digits, whatever the request looks like."""
    with triton.InferenceServerClient(f"127.0.0.1:{real.port}") as client:
        described = client.get_model_metadata(model)["outputs"]
        given = dict(zip((t["name"] for t in client.get_model_metadata(model)["inputs"]),
                         inputs.values(), strict=True))  # fmt: skip
        found = client.infer(
            model,
            [tensor(name, array, binary=binary) for name, array in given.items()],
            outputs=[
                triton.InferRequestedOutput(output["name"], binary_data=binary)
                for output in described
            ],
        )

    expected = models.reference(folder / f"{model}.onnx", given)
    for output, values in zip(described, expected, strict=True):
        answered = found.as_numpy(output["name"])
        if output["datatype"] == "BYTES":
            assert [str(w, "utf-8") if isinstance(w, bytes) else w for w in answered] == list(
                values
            )
        else:
            np.testing.assert_allclose(answered, values, rtol=1e-4, atol=1e-6)


def test_sound_goes_on_where_it_was(folder: Path, real: Server) -> None:
    """A model with a state: each answer's state is the next request's."""
    state = np.zeros((2, 1, 128), np.float32)
    own = state
    rate = np.array(16_000, np.int64)
    with triton.InferenceServerClient(f"127.0.0.1:{real.port}") as client:
        for _ in range(5):
            sound = images(1, 512)
            given = {"input": sound, "state": state, "sr": rate}
            found = client.infer("voice", [tensor(n, a, binary=True) for n, a in given.items()])
            probability, own = models.reference(
                folder / "voice.onnx", {"input": sound, "state": own, "sr": rate}
            )
            state = found.as_numpy("stateN")
            np.testing.assert_allclose(found.as_numpy("output"), probability, rtol=1e-4)
            np.testing.assert_allclose(state, own, rtol=1e-3, atol=1e-5)
