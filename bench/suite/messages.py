"""What a request says and what must be answered to it.

Rows are drawn round the ones that `GET /sample` gives, so they fit whatever model is served. The
answer to each is asked once, uncached, before a scenario begins; where the model's file is at
hand, ONNX Runtime is asked too and must agree. Letters for shapes: B rows, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime

from bench.request import AnswerError
from bench.scenarios import Ask

Array = np.ndarray[Any, np.dtype[Any]]

SPREAD = 0.1
"""Standard deviation of a drawn value, in parts of the sample's: near it, but never equal."""
TOLERANCE = 1e-5
"""Largest difference of a right answer, plus as much in parts of its values: rows of one batch may
round otherwise than a lone row."""
NUMBERS = "iuf"
"""Kinds of NumPy's types that are compared within the tolerance; all others must be equal."""
CONTENT_TYPES = {"json": "application/json", "msgpack": "application/msgpack"}


@dataclass(frozen=True, slots=True)
class Expected:
    """The right answer.

    Attributes:
        head: The answer's bytes up to what differs each time, its `model_info`.
        predictions: [B] or [B, targets].
        probabilities: float [B, classes], or None for a regressor.
    """

    head: bytes
    predictions: Array
    probabilities: Array | None


@dataclass(frozen=True, slots=True)
class Message:
    """One request, ready to be sent: its body and headers, and what must come back."""

    ask: Ask
    body: bytes
    headers: dict[str, str]
    expected: Expected

    def is_answered_by(self, answer: bytes) -> bool:
        """Tell whether an answer is right, within `TOLERANCE`. Mostly one comparison of bytes."""
        if answer.startswith(self.expected.head):
            return True
        try:
            predictions, probabilities = decode(answer, self.ask)
        except AnswerError:
            return False
        return _equal(predictions, self.expected.predictions) and _equal(
            probabilities, self.expected.probabilities
        )


def draw_rows(ask: Ask, sample: Array) -> Array:
    """Draw the rows of every body of `ask`: float32 [bodies, rows, F], four digits each.

    Args:
        ask: Which requests.
        sample: Rows that fit the model, [B, F].
    """
    generator = np.random.default_rng(seed=7)
    chosen = generator.integers(len(sample), size=(ask.bodies, ask.rows))
    factors = generator.normal(1.0, SPREAD, (ask.bodies, ask.rows, sample.shape[1]))
    return (sample[chosen] * factors).round(4).astype(np.float32)


def encode(ask: Ask, rows: Array, *, use_cache: bool) -> bytes:
    """Return the body for `rows`, float32 [B, F]."""
    if ask.encoding == "msgpack":
        data = {"dtype": "float32", "shape": rows.shape, "data": rows.tobytes()}
        return msgspec.msgpack.encode({"data": data, "use_cache": use_cache})
    # Through float64 and back to four digits, as a client would have typed them.
    table = rows.astype(np.float64).round(4).tolist()
    return msgspec.json.encode({"data": table, "use_cache": use_cache})


def headers(ask: Ask) -> dict[str, str]:
    """Return the headers of a request of `ask`."""
    given = {"Content-Type": CONTENT_TYPES[ask.encoding]}
    if ask.timeout_ms:
        given["X-Request-Timeout-Ms"] = str(ask.timeout_ms)
    return given


def decode(answer: bytes, ask: Ask) -> tuple[Array, Array | None]:
    """Return predictions and probabilities of an answer.

    Raises:
        AnswerError: It is no answer to a prediction.
    """
    try:
        return _decode(answer, ask)
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        raise AnswerError(f"{error}: {answer[:200]!r}") from error


def _decode(answer: bytes, ask: Ask) -> tuple[Array, Array | None]:
    decoder: Any = msgspec.msgpack if ask.encoding == "msgpack" else msgspec.json
    content = decoder.decode(answer)
    if not isinstance(content, dict):
        raise TypeError("no object")
    probabilities = content.get("probabilities")
    return _array(content["predictions"]), None if probabilities is None else _array(probabilities)


def expect(answer: bytes, ask: Ask) -> Expected:
    """Return what an answer says, to hold others against.

    Raises:
        AnswerError: It is no answer to a prediction.
    """
    predictions, probabilities = decode(answer, ask)
    head, _, tail = answer.partition(b"model_info")
    if b"predictions" in tail or b"probabilities" in tail:  # its beginning does not say it all
        head = answer
    return Expected(head, predictions, probabilities)


class Oracle:
    """ONNX Runtime on a model's file: what the right answers are, whatever a server says.

    Args:
        path: A model with one input, float32 [B, F], and one or two outputs: predictions and
            probabilities.
    """

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options)

    def confirm(self, rows: Array, expected: Expected) -> None:
        """Run `rows`, float32 [B, F], and compare.

        Raises:
            AnswerError: The server answered otherwise.
        """
        outputs = self._session.run(None, {self._session.get_inputs()[0].name: rows})
        answered = (expected.predictions, expected.probabilities)
        named = zip(("predictions", "probabilities"), outputs, answered, strict=False)
        for name, ours, theirs in named:  # a regressor has no probabilities
            if theirs is None or not _equal(theirs.ravel(), ours.ravel()):  # [B] may be [B, 1]
                raise AnswerError(f"{name}: ONNX Runtime says {ours[:2]}, the server {theirs}")


def _array(values: Any) -> Array:
    if isinstance(values, dict):
        return np.frombuffer(values["data"], values["dtype"]).reshape(values["shape"])
    array = np.asarray(values)
    if not array.ndim:
        raise TypeError("no rows")
    return array


def _equal(one: Array | None, other: Array | None) -> bool:
    if one is None or other is None:
        return one is other
    if one.shape != other.shape:
        return False
    if one.dtype.kind in NUMBERS and other.dtype.kind in NUMBERS:
        return bool(np.isclose(one, other, rtol=TOLERANCE, atol=TOLERANCE).all())
    return bool(one.tolist() == other.tolist())
