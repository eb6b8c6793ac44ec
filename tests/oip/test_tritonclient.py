"""Triton's own client talks to this server as it does to Triton."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

from tests import models
from tests.oip.conftest import DTYPES, tensor
from tests.server import Server
from tests.web.samples import WINE_ROWS, wine_answers

both_forms = pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])


def outputs(*names: str, binary: bool) -> list[Any]:
    """Outputs to ask for."""
    return [triton.InferRequestedOutput(name, binary_data=binary) for name in names]


def test_server_is_live_and_ready(client: Any) -> None:
    """Health, of the server and of a model."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("wine")
    assert client.is_model_ready("wine", "1")
    assert not client.is_model_ready("none")
    assert not client.is_model_ready("wine", "2")


def test_server_tells_what_it_can(client: Any) -> None:
    """Name, version, and the extensions that work."""
    metadata = client.get_server_metadata()

    assert metadata["name"] == "ml-pipeline"
    assert {"binary_tensor_data", "model_configuration", "statistics"} <= set(
        metadata["extensions"]
    )


def test_model_tells_its_tensors(client: Any) -> None:
    """Names, datatypes and shapes, -1 where any size goes."""
    metadata = client.get_model_metadata("pair")

    assert metadata["versions"] == ["1"]
    assert metadata["platform"] == "onnx_onnxv1"
    assert metadata["inputs"] == [
        {"name": "left", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "right", "datatype": "FP32", "shape": [-1, 2]},
    ]
    assert metadata["outputs"] == [{"name": "sum", "datatype": "FP32", "shape": [-1, 2]}]


def test_configuration_leaves_the_rows_out(client: Any) -> None:
    """Where rows are run together, `dims` are those of one row."""
    batched, alone = client.get_model_config("pair"), client.get_model_config("fixed")

    assert batched["max_batch_size"] > 1
    assert batched["input"][0] == {"name": "left", "data_type": "TYPE_FP32", "dims": [2]}
    assert alone["max_batch_size"] == 0
    assert alone["input"][0]["dims"] == [2, 3]


@both_forms
def test_wine_is_answered_as_onnx_runtime_does(client: Any, binary: bool) -> None:
    """Both outputs, exactly."""
    labels, probabilities = wine_answers(WINE_ROWS)
    asked = outputs("label", "probabilities", binary=binary)
    rows = np.array(WINE_ROWS, np.float32)

    result = client.infer("wine", [tensor("float_input", rows, binary=binary)], outputs=asked)

    np.testing.assert_array_equal(result.as_numpy("label"), labels)
    np.testing.assert_array_equal(result.as_numpy("probabilities"), probabilities)


@both_forms
def test_a_model_without_inputs_is_asked_for_nothing(client: Any, binary: bool) -> None:
    """With an empty list of inputs, as its metadata has them."""
    result = client.infer("constant", [], outputs=outputs("y", binary=binary))

    assert result.as_numpy("y").tolist() == [1, 2, 3]
    assert client.get_model_metadata("constant")["inputs"] == []


@both_forms
@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (0, 0)], ids=str)
def test_an_empty_batch_is_answered(client: Any, shape: tuple[int, int], binary: bool) -> None:
    """As long as it is."""
    rows = np.ones(shape, np.float32)

    result = client.infer(
        "sum", [tensor("x", rows, binary=binary)], outputs=outputs("total", binary=binary)
    )

    np.testing.assert_array_equal(result.as_numpy("total"), rows.sum(axis=1))


@pytest.mark.parametrize("shape", [(), (2,), (2, 1, 3)], ids=str)
def test_an_input_without_a_shape_takes_any(client: Any, shape: tuple[int, ...]) -> None:
    """Its answer has the same one."""
    values = np.ones(shape, np.float32)

    result = client.infer("shapeless", [tensor("x", values, binary=True)])

    np.testing.assert_array_equal(result.as_numpy("y"), 2 * values)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_datatype_goes_there_and_back(client: Any, dtype: str) -> None:
    """As bytes, bit by bit."""
    values = np.arange(12).reshape(2, 2, 3).astype(dtype)

    result = client.infer(f"echo-{dtype}", [tensor("x", values, binary=True)])

    found = result.as_numpy("y")
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("dtype", [name for name in DTYPES if name != "float16"])
def test_every_datatype_goes_as_json(client: Any, dtype: str) -> None:
    """But for half precision, which JSON has no form for."""
    values = np.arange(12).reshape(2, 2, 3).astype(dtype)

    result = client.infer(
        f"echo-{dtype}",
        [tensor("x", values, binary=False)],
        outputs=outputs("y", binary=False),
    )

    np.testing.assert_array_equal(result.as_numpy("y"), values)


def test_bfloat16_goes_there_and_back(client: Any) -> None:
    """It is the upper half of a float32; rows that come together too."""
    values = np.array([[1.5, -2, 0.0078125], [3e38, 0, 1]], np.float32)
    given = triton.InferInput("x", [2, 3], "BF16").set_data_from_numpy(values)

    result = client.infer("bfloat", [given])

    cut = (values.view(np.uint32) & 0xFFFF0000).view(np.float32)
    np.testing.assert_array_equal(result.as_numpy("y"), cut)
    np.testing.assert_array_equal(result.as_numpy("wide"), cut)


def test_bfloat16_is_told_in_the_metadata(client: Any) -> None:
    """As Triton calls it."""
    assert client.get_model_metadata("bfloat")["inputs"][0]["datatype"] == "BF16"


@both_forms
def test_strings_go_there_and_back(client: Any, binary: bool) -> None:
    """Empty, long and beyond ASCII."""
    words = np.array(["a", "", "ü€", "x" * 1000], dtype=object)

    result = client.infer(
        "echo-str", [tensor("x", words, binary=binary)], outputs=outputs("y", binary=binary)
    )

    found = [word.decode() if isinstance(word, bytes) else word for word in result.as_numpy("y")]
    assert found == words.tolist()


@both_forms
def test_several_inputs_are_one_request(client: Any, binary: bool) -> None:
    """In any order."""
    left, right = np.ones((3, 2), np.float32), np.full((3, 2), 4, np.float32)

    result = client.infer(
        "pair", [tensor("right", right, binary=binary), tensor("left", left, binary=binary)]
    )

    np.testing.assert_array_equal(result.as_numpy("sum"), left + right)


@both_forms
def test_scalar_input_is_taken(client: Any, binary: bool) -> None:
    """A tensor of no dimensions beside rows."""
    rows = np.array([[1, 2, 3]], np.float32)

    result = client.infer(
        "scalar",
        [tensor("x", rows, binary=binary), tensor("rate", np.array(3, np.int64), binary=binary)],
    )

    np.testing.assert_array_equal(result.as_numpy("y"), rows * 3)


@both_forms
def test_optional_input_may_be_given(client: Any, binary: bool) -> None:
    """Or left out: then the graph's own value holds, for these rows and no others."""
    rows = np.array([[1, 2, 3]], np.float32)
    given = [
        tensor("x", rows, binary=binary),
        tensor("factor", np.array([5], np.float32), binary=binary),
    ]

    waiting = [client.async_infer("optional", given[: 1 + number % 2]) for number in range(8)]

    found = [each.get_result().as_numpy("y")[0, 0] for each in waiting]
    assert found == [2, 5] * 4


@both_forms
def test_input_of_an_optional_type_may_be_given(client: Any, binary: bool) -> None:
    """Or left out, which the graph itself sees; beside others that gave other values, or none."""
    rows = np.array([[1, 2, 3]], np.float32)
    given = [
        [tensor("x", rows, binary=binary), tensor("addend", rows * number, binary=binary)]
        for number in range(8)
    ]

    waiting = [client.async_infer("addend", each[: 1 + n % 2]) for n, each in enumerate(given)]

    found = [each.get_result().as_numpy("y")[0, 0] for each in waiting]
    assert found == [1, 2, 1, 4, 1, 6, 1, 8]


def test_optional_input_is_told_in_the_configuration(client: Any) -> None:
    """Not in the metadata, whose inputs all have to be given."""
    config = client.get_model_config("optional")

    assert config["input"][1] == {
        "name": "factor", "data_type": "TYPE_FP32", "dims": [1], "optional": True
    }  # fmt: skip
    assert [each["name"] for each in client.get_model_metadata("optional")["inputs"]] == ["x"]


@both_forms
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 5, 3), (3, 1, 8)])
def test_free_sizes_are_any(client: Any, shape: tuple[int, ...], binary: bool) -> None:
    """Beyond the rows too."""
    values = np.random.default_rng(0).random(shape, np.float32)

    result = client.infer("free", [tensor("x", values, binary=binary)])

    np.testing.assert_array_equal(result.as_numpy("y"), values)


@both_forms
def test_model_without_rows_is_run_alone(client: Any, binary: bool) -> None:
    """A first dimension that is fixed is no batch."""
    values = np.arange(6, dtype=np.float32).reshape(2, 3)

    result = client.infer("fixed", [tensor("x", values, binary=binary)])

    np.testing.assert_array_equal(result.as_numpy("y"), values)


def test_request_id_comes_back(client: Any) -> None:
    """With bytes and with JSON."""
    rows = np.ones((1, 2), np.float32)
    inputs = [tensor("left", rows, binary=True), tensor("right", rows, binary=True)]

    for binary in (True, False):
        result = client.infer(
            "pair", inputs, request_id="call-7", outputs=outputs("sum", binary=binary)
        )
        assert result.get_response()["id"] == "call-7"


def test_one_output_may_be_asked_for(client: Any) -> None:
    """The others are not sent."""
    rows = np.array(WINE_ROWS[:1], np.float32)

    result = client.infer(
        "wine", [tensor("float_input", rows, binary=True)], outputs=outputs("label", binary=True)
    )

    assert [output["name"] for output in result.get_response()["outputs"]] == ["label"]


def test_version_may_be_named(client: Any) -> None:
    """And is told."""
    rows = np.array(WINE_ROWS[:1], np.float32)

    result = client.infer("wine", [tensor("float_input", rows, binary=True)], model_version="1")

    assert result.get_response()["model_version"] == "1"


def test_name_may_hold_anything(client: Any) -> None:
    """It arrives percent-encoded."""
    rows = np.ones((1, 3), np.float32)

    result = client.infer("a b%c", [tensor("x", rows, binary=True)])

    assert result.get_response()["model_name"] == "a b%c"
    assert client.get_model_metadata("a b%c")["name"] == "a b%c"


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_compressed_requests_are_read(client: Any, compression: str) -> None:
    """The header counts what is decompressed."""
    rows = np.ones((100, 2), np.float32)
    inputs = [tensor("left", rows, binary=True), tensor("right", rows, binary=True)]

    result = client.infer(
        "pair",
        inputs,
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
    )

    np.testing.assert_array_equal(result.as_numpy("sum"), rows * 2)


def test_timeout_and_priority_are_taken(client: Any) -> None:
    """A request that may take a minute is answered."""
    rows = np.ones((1, 2), np.float32)
    inputs = [tensor("left", rows, binary=True), tensor("right", rows, binary=True)]

    result = client.infer("pair", inputs, timeout=60_000_000, priority=1)

    np.testing.assert_array_equal(result.as_numpy("sum"), rows * 2)


def test_timeout_that_has_passed_is_told(client: Any) -> None:
    """One microsecond is not enough."""
    rows = np.ones((1, 2), np.float32)
    inputs = [tensor("left", rows, binary=True), tensor("right", rows, binary=True)]

    with pytest.raises(InferenceServerException, match="deadline"):
        client.infer("pair", inputs, timeout=1)


def test_error_text_reaches_the_caller(client: Any) -> None:
    """The client shows what the server says."""
    rows = np.ones((1, 5), np.float32)

    with pytest.raises(InferenceServerException, match=r"\[404\].*expected one of .*wine"):
        client.infer("none", [tensor("x", rows, binary=True)])
    with pytest.raises(InferenceServerException, match=r"\[400\].*expected 3 features"):
        client.infer("a b%c", [tensor("x", rows, binary=True)])
    with pytest.raises(InferenceServerException, match=r"\[404\].*version"):
        client.get_model_metadata("wine", "9")


def test_statistics_count_requests_rows_and_runs(client: Any) -> None:
    """`success` counts requests, `inference_count` rows, `execution_count` runs."""
    rows = np.ones((3, 4), np.float32)
    before = client.get_inference_statistics("sum")["model_stats"][0]

    for _ in range(2):
        client.infer("sum", [tensor("x", rows, binary=True)])
    with pytest.raises(InferenceServerException):
        client.infer("sum", [tensor("x", rows[0], binary=True)])

    after = client.get_inference_statistics("sum")["model_stats"][0]
    old, new = before["inference_stats"], after["inference_stats"]
    grown = {name: new[name]["count"] - old[name]["count"] for name in new}
    assert after["inference_count"] - before["inference_count"] == 6
    assert after["execution_count"] - before["execution_count"] == 2
    assert grown == {
        "success": 2, "fail": 1, "queue": 2, "compute_input": 2, "compute_infer": 2,
        "compute_output": 2, "cache_hit": 0, "cache_miss": 0,
    }  # fmt: skip
    assert new["success"]["ns"] > old["success"]["ns"]
    assert after["last_inference"] > 1_600_000_000_000


def test_statistics_of_all_models_are_one_answer(client: Any) -> None:
    """A model called stats would not be in the way."""
    found = client.get_inference_statistics()["model_stats"]

    assert {"wine", "pair", "sum"} <= {each["name"] for each in found}


def test_cache_is_asked_only_if_the_client_wants_it(client: Any) -> None:
    """`use_cache`, a parameter of this server; without it every request is run."""
    rows = np.random.default_rng(5).random((1, 2), np.float32)
    inputs = [tensor("left", rows, binary=True), tensor("right", rows, binary=True)]

    def state(**parameters: Any) -> str:
        result = client.infer("pair", inputs, request_id="again", parameters=parameters)
        assert result.get_response()["id"] == "again"
        np.testing.assert_array_equal(result.as_numpy("sum"), rows * 2)
        counts = client.get_inference_statistics("pair")["model_stats"][0]["inference_stats"]
        return f"{counts['cache_hit']['count']} {counts['cache_miss']['count']}"

    none = state()
    assert state() == none
    missed = state(use_cache=True)
    hit = state(use_cache=True)
    assert [int(a) - int(b) for a, b in zip(missed.split(), none.split(), strict=True)] == [0, 1]
    assert [int(a) - int(b) for a, b in zip(hit.split(), missed.split(), strict=True)] == [1, 0]


async def test_aio_client_is_answered_too(server: Server) -> None:
    """It offers every compression with every request, and reads none of them."""
    async with triton_aio.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        assert await client.is_server_ready()
        assert (await client.get_model_metadata("wine"))["name"] == "wine"
        assert (await client.get_model_config("wine"))["max_batch_size"] > 0
        assert (await client.get_inference_statistics("wine"))["model_stats"]
        rows = np.array(WINE_ROWS, np.float32)
        labels, _ = wine_answers(WINE_ROWS)

        results = await asyncio.gather(
            *(client.infer("wine", [tensor("float_input", rows, binary=b)]) for b in (True, False))
        )

        for result in results:
            np.testing.assert_array_equal(result.as_numpy("label"), labels)


def test_concurrent_requests_of_many_sizes_are_each_answered_right(
    server: Server, folder: Path
) -> None:
    """Rows of requests whose free sizes differ are never mixed."""
    random = np.random.default_rng(3)
    arrays = [random.random((1 + n % 4, 1 + n % 3), np.float32) for n in range(60)]
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}", concurrency=12) as client:
        waiting = [client.async_infer("sum", [tensor("x", a, binary=True)]) for a in arrays]

        found = [each.get_result().as_numpy("total") for each in waiting]

    path = folder / "sum.onnx"
    for array, total in zip(arrays, found, strict=True):
        np.testing.assert_allclose(total, models.reference(path, {"x": array})[0], rtol=1e-6)
