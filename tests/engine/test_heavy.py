"""Which bodies are heavy: what takes long for its bytes, and nothing that is sent every day."""

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from ml_pipeline.engine.wire.heavy import HEAVY_BYTES, LIGHT_BYTES, is_heavy_infer, is_heavy_json

SIZE = HEAVY_BYTES - 1
RANDOM = np.random.default_rng(1)


def of(unit: bytes, size: int = SIZE) -> bytes:
    """As many units as there is room for."""
    return unit * (size // len(unit))


DENSE = {
    "lists": of(b"[1],"),
    "empty lists": of(b"[],"),
    "lists of a string": of(b'[""],'),
    "strings": of(b'"",'),
    "short strings": of(b'"abcd",'),
    "numbers of a digit": of(b"1,"),
}
USUAL = {
    "a thousand rows": msgspec.json.encode({"data": RANDOM.standard_normal((1000, 10)).tolist()}),
    "rows of a flower": msgspec.json.encode({"data": RANDOM.random((10_000, 4)).round(1).tolist()}),
    "a picture": msgspec.json.encode({"data": [RANDOM.integers(0, 256, 60_000).tolist()]}),
    "pages": msgspec.json.encode({"data": [["a word, " * 100]] * 250}),
    "lists in lists": of(b"["),
    "a short one": of(b'[""],', LIGHT_BYTES),
}


@pytest.mark.parametrize("body", DENSE.values(), ids=DENSE)
@pytest.mark.parametrize("wrapped", [bytes, msgspec.Raw], ids=["", "raw"])
def test_what_takes_long_is_heavy(
    body: bytes, wrapped: Callable[[bytes], bytes | msgspec.Raw]
) -> None:
    """Also as a member of a batch; a short body with the same in it is not."""
    assert is_heavy_json(wrapped(body))
    assert not is_heavy_json(wrapped(body[:LIGHT_BYTES]))


def test_long_bodies_are_heavy() -> None:
    """Whatever is in them."""
    assert not is_heavy_json(b" " * HEAVY_BYTES)
    assert is_heavy_json(b" " * (HEAVY_BYTES + 1))


@pytest.mark.parametrize("body", USUAL.values(), ids=USUAL)
def test_what_is_sent_every_day_is_not_heavy(body: bytes) -> None:
    """It is below the bound of all that is, and is read in one go."""
    assert len(body) <= HEAVY_BYTES
    assert not is_heavy_json(body)


def test_lists_of_a_tensor_may_be_nested_anyhow() -> None:
    """Each costs what it costs side by side."""
    assert is_heavy_infer(of(b"[" * 20 + b"]" * 20 + b","), None)
    assert not is_heavy_infer(USUAL["a thousand rows"], None)


@pytest.mark.parametrize(
    ("datatype", "heavy"), [("BYTES", True), ("\\u0042YTES", True), ("FP32", False)]
)
def test_strings_in_binary_data_are_heavy(datatype: str, heavy: bool) -> None:
    """However their name is written; numbers are taken as they are."""
    document = f'{{"inputs":[{{"datatype":"{datatype}"}}]}}'.encode()
    body = document + bytes(LIGHT_BYTES)

    assert is_heavy_infer(body, b"%d" % len(document)) == heavy
    assert not is_heavy_infer(body[:1000], b"%d" % len(document))
    assert not is_heavy_infer(body, b"no number")
