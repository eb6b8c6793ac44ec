"""What a request says, and which answers to it are right."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from onnxruntime import InferenceSession

from bench.request import AnswerError
from bench.sample import SAMPLE_FEATURES, SAMPLE_MODEL
from bench.scenarios import Ask
from bench.suite.messages import (
    Message,
    Oracle,
    decode,
    draw_rows,
    encode,
    expect,
    headers,
)
from tests import models
from tests.conftest import WriteModel

JSON, MSGPACK = Ask(rows=2), Ask(rows=2, encoding="msgpack")
ASKS = pytest.mark.parametrize("ask", [JSON, MSGPACK], ids=["json", "msgpack"])
CONTENT = {
    "predictions": [0, 2],
    "probabilities": [[0.75, 0.125, 0.125], [0.25, 0.25, 0.5]],
    "model_info": {"prediction_time": 0.001, "cached": False},
}
GARBAGE = {
    "nothing": b"",
    "text": b"Bad Gateway",
    "a list": [1, 2],
    "no predictions": {"probabilities": CONTENT["probabilities"]},
    "predictions of nothing": {**CONTENT, "predictions": None},
    "a tensor without data": {**CONTENT, "predictions": {}},
    "a tensor of an unknown type": {
        **CONTENT,
        "predictions": {"dtype": "x", "shape": [2], "data": b""},
    },
    "a tensor too short": {
        **CONTENT,
        "predictions": {"dtype": "int64", "shape": [2], "data": b"\0"},
    },
    "ragged rows": {**CONTENT, "probabilities": [[0.5], [0.25, 0.25]]},
}
OTHER = {
    "another class": {**CONTENT, "predictions": [0, 1]},
    "another probability": {**CONTENT, "probabilities": [[0.76, 0.125, 0.125], [0.25, 0.25, 0.5]]},
    "a row less": {**CONTENT, "predictions": [0]},
    "a column more": {**CONTENT, "predictions": [[0], [2]]},
    "words": {**CONTENT, "predictions": ["0", "2"]},
    "truths": {**CONTENT, "predictions": [False, True]},
    "no probabilities": {"predictions": [0, 2], "model_info": {}},
}


def written(content: Any, ask: Ask) -> bytes:
    """Encode an answer as a server would."""
    if isinstance(content, bytes):
        return content
    if ask.encoding == "json":
        return msgspec.json.encode(content)
    return msgspec.msgpack.encode(content)


def message(ask: Ask, content: Any = CONTENT) -> Message:
    """Give a message to which `content` was the first answer."""
    return Message(ask, b"", headers(ask), expect(written(content, ask), ask))


def test_json_bodies_have_the_digits_a_client_types() -> None:
    """A float32 is written with its four digits, and reads back as the same float32."""
    rows = np.array([[0.1, 13.3213], [2.5, -0.0004]], dtype=np.float32)

    body = encode(JSON, rows, use_cache=True)

    assert body == b'{"data":[[0.1,13.3213],[2.5,-0.0004]],"use_cache":true}'
    assert (np.array(msgspec.json.decode(body)["data"], dtype=np.float32) == rows).all()


def test_msgpack_bodies_hold_the_rows_as_they_are() -> None:
    """The tensor names its type and shape, and its bytes are those of the rows."""
    rows = np.array([[0.1, 13.3213], [2.5, -0.0004]], dtype=np.float32)

    content = msgspec.msgpack.decode(encode(MSGPACK, rows, use_cache=False))

    assert content["use_cache"] is False
    assert (content["data"]["dtype"], content["data"]["shape"]) == ("float32", [2, 2])
    assert content["data"]["data"] == rows.tobytes()


@ASKS
def test_an_answer_is_decoded(ask: Ask) -> None:
    """Predictions and probabilities are found in both encodings."""
    predictions, probabilities = decode(written(CONTENT, ask), ask)

    assert probabilities is not None
    assert predictions.tolist() == CONTENT["predictions"]
    assert probabilities.tolist() == CONTENT["probabilities"]


def test_binary_tensors_are_decoded() -> None:
    """A MessagePack answer may hold its arrays as bytes."""
    tensor = {"dtype": "int64", "shape": [2], "data": np.array([0, 2]).tobytes()}

    predictions, _ = decode(written({**CONTENT, "predictions": tensor}, MSGPACK), MSGPACK)

    assert predictions.tolist() == [0, 2]


def test_headers_say_encoding_and_deadline() -> None:
    """A deadline is sent where there is one."""
    assert headers(JSON) == {"Content-Type": "application/json"}
    assert headers(Ask(encoding="msgpack", timeout_ms=250)) == {
        "Content-Type": "application/msgpack",
        "X-Request-Timeout-Ms": "250",
    }


def test_drawn_rows_are_all_different_and_the_same_each_time() -> None:
    """Bodies lie round the sample; no two are equal, and a second run draws the same."""
    sample = np.array([[1.0, 10.0], [2.0, 20.0]])
    ask = Ask(rows=3, bodies=50)

    rows = draw_rows(ask, sample)

    assert rows.shape == (50, 3, 2)
    assert rows.dtype == np.float32
    assert len({row.tobytes() for row in rows}) == 50
    assert (rows == draw_rows(ask, sample)).all()


@ASKS
def test_the_same_answer_is_right_whatever_its_model_info(ask: Ask) -> None:
    """Time taken and cache state differ from answer to answer."""
    again = {**CONTENT, "model_info": {"prediction_time": 0.5, "cached": True}}

    assert message(ask).is_answered_by(written(again, ask))


@ASKS
def test_an_answer_within_the_tolerance_is_right(ask: Ask) -> None:
    """A batch may round otherwise than a lone row."""
    near = [[value + 5e-6 for value in row] for row in [[0.75, 0.125, 0.125], [0.25, 0.25, 0.5]]]

    assert message(ask).is_answered_by(written({**CONTENT, "probabilities": near}, ask))


def test_the_tolerance_grows_with_the_value() -> None:
    """The last digit of a large float32 is no wrong answer, the one before is."""
    asked = message(JSON, {"predictions": [[8192.001]], "model_info": {}})

    assert asked.is_answered_by(b'{"predictions":[[8192.002]]}')
    assert not asked.is_answered_by(b'{"predictions":[[8193.0]]}')


@ASKS
@pytest.mark.parametrize("content", OTHER.values(), ids=OTHER)
def test_another_answer_is_wrong(content: Any, ask: Ask) -> None:
    """Another class, probability or shape is found."""
    assert not message(ask).is_answered_by(written(content, ask))


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_a_wrong_answer(content: Any) -> None:
    """What is no answer at all is told as wrong, and is not an error of the suite."""
    assert not message(MSGPACK).is_answered_by(written(content, MSGPACK))


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_nothing_to_learn_from(content: Any) -> None:
    """A first answer that is none ends the run."""
    with pytest.raises(AnswerError):
        expect(written(content, MSGPACK), MSGPACK)


def test_labels_are_compared_as_they_are() -> None:
    """A model that answers words is held to them, and a number is none."""
    asked = message(JSON, {"predictions": ["a", "b"], "model_info": {}})

    assert asked.is_answered_by(b'{"predictions":["a","b"]}')
    assert not asked.is_answered_by(b'{"predictions":["a","c"]}')
    assert not asked.is_answered_by(b'{"predictions":[1,2]}')


def test_the_order_of_an_answer_s_fields_does_not_hide_a_wrong_one() -> None:
    """Where `model_info` comes first, the comparison does not end there."""
    turned = {"model_info": {}, "predictions": [0, 2]}

    asked = message(JSON, turned)

    assert asked.is_answered_by(written(turned, JSON))
    assert not asked.is_answered_by(written({**turned, "predictions": [0, 1]}, JSON))


def asked_of_the_oracle(rows: int = 3) -> tuple[Any, dict[str, Any]]:
    """Give rows for the bundled model, and the answer ONNX Runtime has to them."""
    drawn = np.random.default_rng(3).uniform(0.5, 5.0, (rows, SAMPLE_FEATURES)).astype(np.float32)
    session = InferenceSession(SAMPLE_MODEL)
    labels, probabilities = session.run(None, {session.get_inputs()[0].name: drawn})
    return drawn, {"predictions": labels.tolist(), "probabilities": probabilities.tolist()}


def test_the_oracle_confirms_what_the_model_says() -> None:
    """The right answer passes, within the tolerance."""
    rows, content = asked_of_the_oracle()

    Oracle(SAMPLE_MODEL).confirm(rows, expect(written(content, JSON), JSON))


@pytest.mark.parametrize("what", ["predictions", "probabilities"])
def test_the_oracle_rejects_what_it_does_not(what: str) -> None:
    """A server that answers otherwise each time the same is found out."""
    rows, content = asked_of_the_oracle()
    content[what] = (np.array(content[what]) + 1).tolist()

    with pytest.raises(AnswerError, match=f"{what}: ONNX Runtime says"):
        Oracle(SAMPLE_MODEL).confirm(rows, expect(written(content, JSON), JSON))


def test_the_oracle_rejects_an_answer_with_rows_missing() -> None:
    """An answer of another size is wrong, not an error of the suite."""
    rows, content = asked_of_the_oracle()
    content["predictions"].pop()

    with pytest.raises(AnswerError, match="predictions"):
        Oracle(SAMPLE_MODEL).confirm(rows, expect(written(content, JSON), JSON))


def test_the_oracle_knows_a_model_without_probabilities(write_model: WriteModel) -> None:
    """A regressor's one output is [B, 1], its server's answer may be [B]."""
    path: Path = write_model(models.scale_model(2.0, shape=(None, 1)))
    rows = np.array([[1.0], [2.0]], dtype=np.float32)

    Oracle(path).confirm(rows, expect(b'{"predictions":[2.0,4.0]}', JSON))
