"""Which bodies are heavy: to read them in one go would keep the event loop for more than 5 ms.

Bytes alone do not tell. With the comma behind it a list may have three bytes and cost 150 to 300
ns, a string three and 70 to 100, a number two and 20 to 30. So what is neither short nor long is
looked through, 50 ns a kB, for how many there are. Mostly there are few commas, and that is all.
"""

import msgspec
import numpy as np

HEAVY_BYTES = 262_144
"""A body beyond this is read in pieces, whatever is in it."""

LIGHT_BYTES = 65_536
"""Up to here none is: the worst take about 5 ms in one go, lists of a string each."""

LIGHT_BINARY_BYTES = 32_768
"""Likewise where there are strings in binary data, 400 ns each, of four bytes or more."""

MAX_LISTS, MAX_QUOTES, MAX_COMMAS = 16_384, 32_768, 65_536
"""Of a body in one go: they take 4 ms, 2 ms and 3 ms."""


def is_heavy_json(body: bytes | msgspec.Raw) -> bool:
    """Tell it of JSON."""
    size = len(body)
    if size <= LIGHT_BYTES:
        return False
    if size > HEAVY_BYTES:
        return True
    num_commas = _count(body, ",")
    return num_commas > MAX_LISTS and (
        num_commas > MAX_COMMAS or _count(body, "[") > MAX_LISTS or _count(body, '"') > MAX_QUOTES
    )


def is_heavy_infer(body: bytes, header: bytes | None) -> bool:
    """Tell it of a body of the Open Inference Protocol, where lists may be nested anyhow.

    Args:
        body: JSON, perhaps with binary data behind it.
        header: The length of the JSON, as it was sent; None if there is nothing else.
    """
    if len(body) > LIGHT_BINARY_BYTES and header is not None:
        length = int(header) if header.isdigit() and len(header) <= 19 else 0
        document = body[:length]  # of which an escape may hide a word
        if b"BYTES" in document or b"\\" in document:
            return True
    return is_heavy_json(body) or (len(body) > LIGHT_BYTES and _count(body, "[") > MAX_LISTS)


def _count(body: bytes | msgspec.Raw, character: str) -> int:
    """Do it with numpy, which takes a fifth of the time of `bytes.count`."""
    return int(np.count_nonzero(np.frombuffer(memoryview(body), np.uint8) == ord(character)))
