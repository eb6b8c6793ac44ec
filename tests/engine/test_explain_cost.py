"""What it costs to say where a fault is: few times what the reading of the values has cost."""

from time import thread_time
from typing import Any

import numpy as np
import pytest

from ml_pipeline.engine.signature.tensor import TensorSpec
from ml_pipeline.engine.wire.explain import explain_rows
from ml_pipeline.errors import InvalidInput

MOST_TIMES = 6
"""Halves of a list take as much as the whole; one by one its values took 25 times as much."""

NUM = 60_000
FAULTY: dict[str, tuple[list[Any], str]] = {
    "a number at the end": ([[1.0] * NUM + [1e300]], "data[0][60000]"),
    "a row at the end": ([[1.0]] * NUM + [[1e300]], "data[60000][0]"),
    "a ragged row at the end": ([[1.0]] * NUM + [[1.0, 2.0]], "data[60000]"),
    "a ragged row of strings": ([[""]] * NUM + [["", ""]], "data[60000]"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_fault_is_found_in_a_few_readings(name: str) -> None:
    """The last of 60,000 values is named, for no more CPU than six times to make the array."""
    data, place = FAULTY[name]
    spec = TensorSpec("x", "str" if "strings" in name else "float32", (-1, -1))
    making, finding = [], []
    for _ in range(5):
        began = thread_time()
        np.asarray([[1.0]] * NUM, np.float32)
        made = thread_time()
        with pytest.raises(InvalidInput, match="expected") as caught:
            explain_rows(data, spec)
        finding.append(thread_time() - made)
        making.append(made - began)

    assert caught.value.detail.startswith(f"{place}: expected")
    assert min(finding) <= MOST_TIMES * min(making)
