"""A server of models that are not tables of floats, and Triton's client for it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from onnx import TensorProto, helper

from tests import models
from tests.server import Server, end_well
from tests.web.samples import write_wine

DTYPES = [name for name in models.ONNX_TYPES if name != "str"]


def echo_model(dtype: str, shape: models.Shape) -> bytes:
    """`y = x`, of any type and shape."""
    return models.graph(
        [models.node("Identity", ["x"], ["y"])],
        [models.tensor("x", dtype, shape)],
        [models.tensor("y", dtype, shape)],
    )


def scalar_model() -> bytes:
    """`y = x * rate`: rows, and one number for all of them."""
    return models.graph(
        [
            models.node("Cast", ["rate"], ["factor"], to=TensorProto.FLOAT),
            models.node("Mul", ["x", "factor"], ["y"]),
        ],
        [models.tensor("x", "float32", [None, 3]), models.tensor("rate", "int64", [])],
        [models.tensor("y", "float32", [None, 3])],
    )


def bfloat_model() -> bytes:
    """`y = x` and `wide = float32(x)`, of bfloat16 and rows of three."""
    return models.graph(
        [
            models.node("Identity", ["x"], ["y"]),
            models.node("Cast", ["x"], ["wide"], to=TensorProto.FLOAT),
        ],
        [models.tensor("x", "bfloat16", [None, 3])],
        [models.tensor("y", "bfloat16", [None, 3]), models.tensor("wide", "float32", [None, 3])],
    )


def optional_model() -> bytes:
    """`y = x * factor`; who gives no factor gets 2."""
    return models.graph(
        [models.node("Mul", ["x", "factor"], ["y"])],
        [models.tensor("x", "float32", [None, 3]), models.tensor("factor", "float32", [1])],
        [models.tensor("y", "float32", [None, 3])],
        factor=np.array([2], np.float32),
    )


def addend_model() -> bytes:
    """`y = x + addend`, an input of an optional type; who gives none gets x."""
    kind = helper.make_optional_type_proto(
        helper.make_tensor_type_proto(TensorProto.FLOAT, [None, 3])
    )
    result = [models.tensor("sum", "float32", [None, 3])]
    added = [
        models.node("OptionalGetElement", ["addend"], ["given"]),
        models.node("Add", ["x", "given"], ["sum"]),
    ]
    branches = {
        "then_branch": helper.make_graph(added, "then", [], result),
        "else_branch": helper.make_graph(
            [models.node("Identity", ["x"], ["sum"])], "else", [], result
        ),
    }
    return models.graph(
        [
            models.node("OptionalHasElement", ["addend"], ["there"]),
            models.node("If", ["there"], ["y"], **branches),
        ],
        [models.tensor("x", "float32", [None, 3]), helper.make_value_info("addend", kind)],
        [models.tensor("y", "float32", [None, 3])],
    )


def write_all(folder: Path) -> None:
    """Put the models of these tests into a folder."""
    write_wine(folder, "1")
    for dtype in DTYPES:
        (folder / f"echo-{dtype}.onnx").write_bytes(echo_model(dtype, [None, 2, 3]))
    (folder / "bfloat.onnx").write_bytes(bfloat_model())
    (folder / "optional.onnx").write_bytes(optional_model())
    (folder / "addend.onnx").write_bytes(addend_model())
    (folder / "pair.onnx").write_bytes(models.two_input_model())
    (folder / "words.onnx").write_bytes(models.words_model())
    (folder / "echo-str.onnx").write_bytes(echo_model("str", [None]))
    (folder / "fixed.onnx").write_bytes(echo_model("float32", [2, 3]))
    (folder / "free.onnx").write_bytes(echo_model("float32", ["b", "h", "w"]))
    (folder / "scalar.onnx").write_bytes(scalar_model())
    (folder / "sum.onnx").write_bytes(models.width_free_model())
    (folder / "a b%c.onnx").write_bytes(models.scale_model())
    (folder / "constant.onnx").write_bytes(models.constant_model())
    (folder / "shapeless.onnx").write_bytes(models.scale_model(shape=None))
    (folder / "brittle.onnx").write_bytes(models.lookup_model())


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the models lie."""
    path = tmp_path_factory.mktemp("oip")
    write_all(path)
    return path


@pytest.fixture(scope="session")
def server(folder: Path) -> Iterator[Server]:
    """A server of all of them."""
    with Server(folder) as running:
        yield running
        end_well(running)


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[Any]:
    """Triton's client, as its makers ship it."""
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as opened:
        yield opened


def tensor(name: str, values: Any, *, binary: bool) -> Any:
    """An input of Triton's client."""
    array = np.asarray(values)
    datatype = triton.np_to_triton_dtype(array.dtype)
    found = triton.InferInput(name, list(array.shape), datatype)
    return found.set_data_from_numpy(array, binary_data=binary)
