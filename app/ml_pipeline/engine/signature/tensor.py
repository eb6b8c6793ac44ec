"""What a model takes and gives: name, dtype and shape of each tensor.

Here is the check of an array against a model's input. Turning bytes into arrays is `codec.py`.
Letters for shapes: `b` rows of one request, `F` features; -1 in a spec is "any".
"""

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from ml_pipeline.errors import InvalidInput

type_names = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(bfloat16)": "bfloat16",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
    "tensor(bool)": "bool",
    "tensor(string)": "str",
}
"""ONNX Runtime's type names and numpy's. Strings travel as numpy object arrays; bfloat16, which
numpy lacks, as the uint16 of the same bits.

Source: the type strings of `onnxruntime.NodeArg.type`.
"""

_carriers = {"str": "object", "bfloat16": "uint16"}

_numpy_dtypes = {name: np.dtype(_carriers.get(name, name)) for name in type_names.values()}

dtype_names = {dtype: name for name, dtype in _numpy_dtypes.items() if name != "bfloat16"}
"""The way back; `dtype.name` is Python code that makes it anew at each call."""

_free = (-1,)

MOST_EXACT = 2**53 - 1

Array = npt.NDArray[Any]
Tensors = dict[str, Array]
"""The engine's unit of work: input name to array `[b, …]`."""


class TensorSpec(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Name, dtype and shape of one input or output of a model.

    Attributes:
        name: The name in the ONNX graph.
        dtype: numpy's word (`float32`); `str` for strings.
        shape: One entry a dimension, the batch included; -1 is any size.
        ranked: False where the file tells no shape at all, so that any will do; `shape` is empty.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    ranked: bool = True

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The dtype of arrays that hold this tensor; strings are objects."""
        return _numpy_dtypes[self.dtype]

    @property
    def batched(self) -> bool:
        """Whether the first dimension is free, so that rows of several requests may share a run."""
        return bool(self.shape) and self.shape[0] == -1

    @property
    def settled(self) -> bool:
        """Whether every dimension but the first is fixed: all valid requests then fit together."""
        return self.ranked and -1 not in self.shape[1:]

    def check(self, array: Array, field: str = "data") -> None:
        """Raise unless `array` is a valid value of this tensor. O(b·F), no copy.

        Args:
            array: The decoded value.
            field: What the caller calls it, for the message.

        Raises:
            InvalidInput: Wrong rank, size, dtype, no rows, or a value that is not finite.
        """
        self.check_shape(array.shape, field)
        if array.dtype != _numpy_dtypes[self.dtype]:
            raise InvalidInput(f"{field}: expected dtype {self.dtype}, found {array.dtype}")
        # A dot product with itself is finite only if every value is; 3x cheaper than
        # isfinite().all(). Large finite values may overflow it, so it only starts the exact check.
        if array.dtype.kind == "f" and not math.isfinite(np.vdot(array, array)):
            self._check_finite(array, field)

    def check_shape(self, shape: Sequence[int], field: str = "data", least: int = 1) -> None:
        """Raise unless `shape` is a valid one: all that numbers out of JSON need. O(1).

        Args:
            shape: The sizes.
            field: What the caller calls it.
            least: Of a size that is free.

        Raises:
            InvalidInput: Wrong rank or size, or no rows.
        """
        sizes = tuple(shape)
        own = self.shape
        if sizes and sizes[1:] == own[1:] and own[:1] == _free and min(sizes) >= least:
            return
        wanted = own if self.ranked else _free * len(sizes)
        if len(sizes) != len(wanted):
            raise InvalidInput(f"{field}: expected {_rank(wanted)}, found {_rank(sizes)}")
        for axis, (size, expected) in enumerate(zip(sizes, wanted, strict=True)):
            if size < least if expected == -1 else size != expected:
                raise InvalidInput(f"{field}: {self._mismatch(axis, expected, size, least)}")

    def _mismatch(self, axis: int, expected: int, size: int, least: int) -> str:
        wanted = f"at least {least}" if expected == -1 else str(expected)
        number = least if expected == -1 else expected
        if axis == 0:
            return f"expected {wanted} {_plural('row', number)}, found {size}"
        if axis == 1 and len(self.shape) == 2:
            return f"expected {wanted} {_plural('feature', number)} in each row, found {size}"
        return f"expected {wanted} along dimension {axis}, found {size}"

    def _check_finite(self, array: Array, field: str) -> None:
        bad = np.argwhere(~np.isfinite(array))
        if len(bad):
            place = "".join(f"[{index}]" for index in bad[0])
            found = array[tuple(bad[0])]
            raise InvalidInput(
                f"{field}{place}: expected a finite {self.dtype}, found {found}"
                + (" (too large for the dtype)" if np.isinf(found) else "")
            )


def whole_numbers(values: Any, dtype: np.dtype[Any]) -> Array | None:
    """Make integers of numbers that are written as 1.0; None unless all are whole.

    Args:
        values: Nested lists of numbers.
        dtype: Of integers.
    """
    try:
        floats = np.asarray(values, np.float64)
    except (ValueError, OverflowError):  # ragged, or beyond all floats
        return None
    limits = np.iinfo(dtype)
    largest = min(limits.max, MOST_EXACT)  # beyond it, whole numbers are no floats
    whole = (floats == np.trunc(floats)) & (floats <= largest)
    if not np.all(whole & (floats >= max(limits.min, -MOST_EXACT))):
        return None
    return floats.astype(dtype)


def _rank(shape: tuple[int, ...]) -> str:
    sizes = ", ".join("any" if size == -1 else str(size) for size in shape)
    return f"{len(shape)} dimensions [{sizes}]"


def _plural(thing: str, number: int) -> str:
    return thing if number == 1 else f"{thing}s"
