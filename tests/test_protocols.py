"""What a client asks is read once, and stays as it was read."""

import json
from time import monotonic
from typing import Any

import msgspec
import pytest

from ml_pipeline.engine.wire.codec import WireFormat
from ml_pipeline.fronts.http.message import Request
from ml_pipeline.protocols.base import Ask, Call
from ml_pipeline.protocols.infer import InferCall, InferWriter
from ml_pipeline.protocols.predict import PredictCall, PredictWriter
from tests.conftest import LoadModel, WriteModel, json_call
from tests.models import scale_model

ROW = [1.0, 2.0, 3.0]


@pytest.mark.parametrize("kind", [Request, PredictCall, InferCall, Ask, PredictWriter, InferWriter])
def test_what_was_asked_cannot_be_changed(kind: type[msgspec.Struct]) -> None:
    """No later step can fill in, or overwrite, what a client has sent."""
    assert kind.__struct_config__.frozen


def infer_call(**parameters: Any) -> InferCall:
    """One row, to be answered within a minute from now; its first byte came ten seconds ago."""
    tensor = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": ROW}
    body = json.dumps({"id": "own", "inputs": [tensor], "parameters": parameters}).encode()
    now = monotonic()
    return InferCall(None, None, now + 60, body=body, header=None, started=now - 10)


def test_a_client_s_timeout_counts_from_its_first_byte(
    load: LoadModel, write_model: WriteModel
) -> None:
    """`timeout`, in microseconds, brings the deadline forward."""
    call = infer_call(timeout=20_000_000)

    ask = call.decode(load(write_model(scale_model())))

    assert ask.deadline == pytest.approx(call.started + 20)


def test_a_client_s_timeout_puts_nothing_off(load: LoadModel, write_model: WriteModel) -> None:
    """One that is longer than the server's own changes nothing."""
    call = infer_call(timeout=200_000_000)

    assert call.decode(load(write_model(scale_model()))).deadline == call.deadline


def test_the_client_s_name_for_it_comes_with_what_it_asks(
    load: LoadModel, write_model: WriteModel
) -> None:
    """`id` is known once the body is read."""
    assert infer_call().decode(load(write_model(scale_model()))).id == "own"


@pytest.mark.parametrize(
    "call", [json_call(json.dumps({"data": [ROW]}).encode()), infer_call()], ids=["predict", "oip"]
)
def test_a_call_may_be_decoded_twice(call: Call, load: LoadModel, write_model: WriteModel) -> None:
    """Nothing of the first time is left in it."""
    model = load(write_model(scale_model()))

    first, second = call.decode(model), call.decode(model)

    assert [array.tolist() for array in first.inputs.values()] == [[ROW]]
    assert (first.num_rows, first.deadline, first.id) == (1, second.deadline, second.id)
    assert first.writer == second.writer


def test_a_hit_in_json_ends_as_a_fresh_answer_but_for_cached() -> None:
    """It is the end alone that differs, so that a long answer's other pieces are kept as sent."""
    writer = PredictWriter(WireFormat.JSON, WireFormat.JSON.media_type)

    assert writer.for_cache(b'"cached":false}}') == b'"cached":true}}'
